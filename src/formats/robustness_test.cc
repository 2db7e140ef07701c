/// Damaged files: cut anywhere, with any byte changed. Each gives an error or loads; then every
/// tensor byte can be read. Run under AddressSanitizer, an access outside the file is caught,
/// because each damaged copy is an allocation of its exact size.

#include "base/mapped_file.h"
#include "formats/describe.h"
#include "formats/gguf_reader.h"
#include "formats/safetensors_reader.h"
#include "formats/test_support.h"

#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using test::bytes_of;

constexpr uint64_t kSeed = 20240229;
constexpr int kRounds = 1000;

struct Outcome {
  int loaded = 0;
  int refused = 0;
  uint64_t sum = 0;
};

void count(Outcome& outcome, const base::Result<Checkpoint>& result) {
  outcome.loaded += result.has_value();
  outcome.refused += !result.has_value();
  if (result) outcome.sum += test::touch(result->tensors);
  EXPECT_TRUE(result || !result.error().message.empty());
}

void count(Outcome& outcome, const base::Result<TensorMap>& result) {
  outcome.loaded += result.has_value();
  outcome.refused += !result.has_value();
  if (result) outcome.sum += test::touch(*result);
  EXPECT_TRUE(result || !result.error().message.empty());
}

/// Parses `file` cut at random places, every second one within its first `header_bytes`.
template <typename Parse>
Outcome cut_anywhere(const std::string& file, size_t header_bytes, Parse parse) {
  std::mt19937_64 random(kSeed);
  Outcome outcome;
  for (int i = 0; i < kRounds; ++i) {
    const size_t limit = i % 2 == 0 ? header_bytes : file.size();
    const std::vector<char> cut(file.begin(),
                                file.begin() + static_cast<int64_t>(random() % limit));
    count(outcome, parse(std::as_bytes(std::span(cut))));
  }
  return outcome;
}

/// Parses `file` with one random byte changed, three times in four within the header.
template <typename Parse>
Outcome change_anywhere(std::string file, size_t header_bytes, Parse parse) {
  std::mt19937_64 random(kSeed);
  Outcome outcome;
  for (int i = 0; i < kRounds; ++i) {
    const size_t at = random() % (i % 4 == 0 ? file.size() : header_bytes);
    const char before = file[at];
    file[at] = static_cast<char>(before ^ static_cast<char>(1 + random() % 255));
    count(outcome, parse(bytes_of(file)));
    file[at] = before;
  }
  return outcome;
}

void print(const char* what, const Outcome& outcome) {
  std::printf("%s, seed %llu: %d loaded, %d refused\n", what,
              static_cast<unsigned long long>(kSeed), outcome.loaded, outcome.refused);
}

std::string read_file(const std::string& path) {
  return base::read_text_file(path).value_or(std::string());
}

/// Bytes before the first tensor.
size_t header_bytes(const std::string& file, const Checkpoint& checkpoint) {
  size_t first = file.size();
  for (const auto& [name, view] : checkpoint.tensors) {
    const auto* begin = reinterpret_cast<const char*>(view.bytes.data());
    first = std::min(first, static_cast<size_t>(begin - file.data()));
  }
  return first;
}

/// All block geometries, both value kinds and arrays, in a few kilobytes.
std::string synthetic_gguf() {
  Metadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("general.quantization_version", int64_t{2});
  metadata.set("llama.rope.freq_base", 10000.0);
  metadata.set("tokenizer.ggml.tokens", MetadataArray{std::vector<std::string>{"<s>", "a", "b"}});
  metadata.set("tokenizer.ggml.scores", MetadataArray{std::vector<double>{0, -1, -2}});
  std::vector<TensorDeclaration> tensors;
  for (const base::DTypeInfo& type : base::all_dtypes()) {
    if (type.dtype == base::DType::kQ2_0_128) continue;
    tensors.push_back({"blk.0." + std::string(type.name) + ".weight", type.dtype, {10, 512}});
  }
  return test::gguf_image(metadata, tensors);
}

class GgufDamage : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const bool real = std::string_view(GetParam()) == "stories260K";
    file_ = real ? read_file(test::shared_data("models/stories260K.gguf")) : synthetic_gguf();
    if (file_.empty()) GTEST_SKIP() << "no ../shared/data/models/stories260K.gguf";
    const auto whole = parse_gguf(bytes_of(file_));
    ASSERT_TRUE(whole.has_value()) << whole.error().message;
    header_bytes_ = header_bytes(file_, *whole);
    ASSERT_LT(header_bytes_, file_.size());
    first_tensor_ = whole->tensors.begin()->first;
  }

  std::string file_;
  std::string first_tensor_;
  size_t header_bytes_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Files, GgufDamage, ::testing::Values("synthetic", "stories260K"));

TEST_P(GgufDamage, CutAnywhere) {
  const Outcome outcome = cut_anywhere(file_, header_bytes_, parse_gguf);
  print("gguf cut", outcome);
  EXPECT_LT(outcome.loaded, 10);  // only a cut in the last tensor's padding may load
}

TEST_P(GgufDamage, AnyByteChanged) {
  const Outcome outcome = change_anywhere(file_, header_bytes_, parse_gguf);
  print("gguf changed", outcome);
  EXPECT_GT(outcome.loaded, kRounds / 10);
  EXPECT_GT(outcome.refused, kRounds / 10);
}

/// Sizes, offsets and types are where the danger is.
TEST_P(GgufDamage, EveryByteOfTheTensorTable) {
  const size_t start = file_.find(first_tensor_) - sizeof(uint64_t);
  ASSERT_LT(start, header_bytes_);
  Outcome outcome;
  for (size_t at = start; at < header_bytes_; ++at) {
    const char before = file_[at];
    file_[at] = static_cast<char>(before ^ (at % 2 == 0 ? 0x80 : 0x01));
    count(outcome, parse_gguf(bytes_of(file_)));
    file_[at] = before;
  }
  print("gguf tensor table", outcome);
  EXPECT_GT(outcome.refused, outcome.loaded / 2);
}

std::string safetensors_file() {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::string data;
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = test::pattern(static_cast<size_t>(64 * (i + 1)), 1);
    header += ",\"model.layers." + std::to_string(i) + ".mlp.up_proj.weight\":{\"dtype\":\"" +
              (i % 2 == 0 ? "BF16" : "F16") + "\",\"shape\":[" + std::to_string(i + 1) +
              ",32],\"data_offsets\":[" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + bytes.size()) + "]}";
    data += bytes;
  }
  header += "}";
  return test::RawFile().text(header).raw(data).bytes();
}

TEST(SafetensorsDamage, CutAnywhere) {
  const std::string file = safetensors_file();
  const Outcome outcome = cut_anywhere(file, 1500, parse_safetensors);
  print("safetensors cut", outcome);
  EXPECT_EQ(outcome.loaded, 0);
}

TEST(SafetensorsDamage, AnyByteChanged) {
  const Outcome outcome = change_anywhere(safetensors_file(), 1500, parse_safetensors);
  print("safetensors changed", outcome);
  EXPECT_GT(outcome.loaded, kRounds / 10);
  EXPECT_GT(outcome.refused, kRounds / 10);
}

TEST(RealFiles, Stories260KOpens) {
  const std::string path = test::shared_data("models/stories260K.gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no ../shared/data/models/stories260K.gguf";
  const auto checkpoint = open_checkpoint(path);
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->tensors.size(), 48u);
  EXPECT_EQ(*checkpoint->metadata.text("general.architecture"), "llama");
  EXPECT_EQ(*checkpoint->metadata.integer("llama.block_count"), 5);
  EXPECT_EQ(checkpoint->tensor("token_embd.weight")->shape, (base::Shape{512, 64}));
  EXPECT_GT(test::touch(checkpoint->tensors), 0u);
}

TEST(RealFiles, VocabularyFilesOpenFast) {
  const std::string folder = test::shared_data("tokenizers");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no ../shared/data/tokenizers";
  const auto start = std::chrono::steady_clock::now();
  int opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto checkpoint = open_checkpoint(entry.path().string());
    ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
    EXPECT_NE(checkpoint->metadata.texts("tokenizer.ggml.tokens"), nullptr);
    ++opened;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_GE(opened, 5);
  EXPECT_LT(seconds.count(), 5.0);  // far above what it takes: catches only quadratic parts
}

}  // namespace
}  // namespace neuros::formats
