#include "builder/convert.h"

#include "builder/convert_plan.h"
#include "builder/synth.h"
#include "builder/type_mix.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "kernels/quantise.h"
#include "models/registry.h"

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace neuros::builder {
namespace {

namespace fs = std::filesystem;
using base::DType;
using formats::Checkpoint;
using testing::ElementsAre;
using testing::HasSubstr;

/// A folder of its own, removed with everything in it.
class Folder {
 public:
  Folder()
      : path_(fs::temp_directory_path() / ("neuros_convert_test_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(path_), {}));
  }

 private:
  fs::path path_;
};

struct NamedValues {
  std::string name;
  base::Shape shape;
  std::vector<float> values;
};

std::vector<NamedValues> example_tensors() {
  std::mt19937 random(7);
  std::normal_distribution<float> draw(0.0f, 0.05f);
  std::vector<NamedValues> tensors{
      {"blk.0.attn_norm.weight", {256}, {}},   {"blk.0.attn_q.weight", {33, 256}, {}},
      {"blk.0.ffn_down.weight", {40, 96}, {}}, {"blk.0.ffn_up.weight", {2, 17, 256}, {}},
      {"output.weight", {64, 256}, {}},        {"token_embd.weight", {64, 256}, {}}};
  for (NamedValues& tensor : tensors) {
    tensor.values.resize(static_cast<size_t>(base::element_count(tensor.shape)));
    for (float& value : tensor.values) value = draw(random);
  }
  return tensors;
}

/// An architecture that no table here knows, with keys that must come along.
formats::Metadata example_metadata() {
  formats::Metadata metadata;
  metadata.set("general.architecture", std::string("novel"));
  metadata.set("general.file_type", int64_t{0});
  metadata.set("novel.block_count", int64_t{1});
  metadata.set("novel.mystery", 2.5);
  metadata.set("split.count", int64_t{1});
  return metadata;
}

void write_model(const std::string& path, const std::vector<NamedValues>& tensors, DType dtype) {
  std::vector<formats::TensorDeclaration> declared;
  for (const NamedValues& tensor : tensors) declared.push_back({tensor.name, dtype, tensor.shape});
  declared.push_back({"step", DType::kI32, {3}});
  auto writer = formats::GgufWriter::create(path, example_metadata(), declared);
  ASSERT_TRUE(writer.has_value()) << writer.error().message;
  for (const NamedValues& tensor : tensors) {
    std::vector<std::byte> bytes(
        static_cast<size_t>(base::bytes_of(dtype, static_cast<int64_t>(tensor.values.size()))));
    kernels::quantise(dtype, tensor.values, {}, bytes.data());
    ASSERT_TRUE(writer->append(tensor.name, bytes).has_value());
  }
  const int32_t steps[3] = {1, -2, 3};
  ASSERT_TRUE(writer->append("step", std::as_bytes(std::span(steps))).has_value());
  ASSERT_TRUE(writer->finish().has_value());
}

std::vector<float> values_of(const base::TensorView& view) {
  std::vector<float> values(static_cast<size_t>(base::element_count(view.shape)));
  kernels::dequantise(view.dtype, view.bytes.data(), values);
  return values;
}

/// RMS of the difference over the RMS of the values.
double relative_error(const std::vector<float>& values, const std::vector<float>& found) {
  double error = 0.0, sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i], difference = value - static_cast<double>(found[i]);
    error += difference * difference;
    sum += value * value;
  }
  return std::sqrt(error / sum);
}

/// What rounding normally distributed values to so many bits may cost at most.
double error_bound(DType dtype) {
  if (dtype == DType::kF32) return 0.0;
  if (dtype == DType::kF16) return 5e-4;
  if (dtype == DType::kBF16) return 3e-3;
  return 1.6 * std::pow(2.0, -(base::bits_per_element(dtype) - 1.6));
}

void expect_converted(const NamedValues& wanted, const Checkpoint& found, const TypeMix& mix) {
  const base::TensorView* view = found.find_tensor(wanted.name);
  ASSERT_NE(view, nullptr) << wanted.name;
  EXPECT_EQ(view->shape, wanted.shape);
  EXPECT_EQ(view->dtype, dtype_in_mix(mix, wanted.name, wanted.shape, 1, false)) << wanted.name;
  EXPECT_LE(relative_error(wanted.values, values_of(*view)), error_bound(view->dtype))
      << wanted.name << " as " << base::name(view->dtype);
}

TEST(Convert, EveryTypeKeepsShapesAndNearlyTheValues) {
  const Folder folder;
  const auto tensors = example_tensors();
  write_model(folder.file("in.gguf"), tensors, DType::kF32);
  for (const std::string& type : type_mix_names()) {
    SCOPED_TRACE(type);
    const auto done = convert(folder.file("in.gguf"), folder.file("out.gguf"), type,
                              {.threads = 2, .on_progress = {}, .on_note = {}});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    const auto found = formats::open_checkpoint(folder.file("out.gguf"));
    ASSERT_TRUE(found.has_value()) << found.error().message;
    const TypeMix mix = *find_type_mix(type);
    for (const NamedValues& tensor : tensors) expect_converted(tensor, *found, mix);
    const bool quantised = base::is_quantised(mix.most);
    EXPECT_EQ(found->metadata.integer_or_none("general.file_type"), mix.file_type);
    EXPECT_EQ(found->metadata.integer_or_none("general.quantization_version").has_value(),
              quantised);
    EXPECT_EQ(found->metadata.number_or_none("novel.mystery"), 2.5);
    EXPECT_FALSE(found->metadata.contains("split.count"));
    EXPECT_EQ(found->find_tensor("step")->dtype, DType::kI32);
  }
}

TEST(Convert, SourcesOfEveryTypeAreRead) {
  const Folder folder;
  std::vector<NamedValues> tensors = example_tensors();
  std::erase_if(tensors, [](const NamedValues& t) { return t.shape.back() % 256 != 0; });
  for (int i = 0; i < base::kWeightDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    SCOPED_TRACE(base::name(dtype));
    write_model(folder.file("in.gguf"), tensors, dtype);
    ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "F32", {}).has_value());
    const auto in = formats::open_checkpoint(folder.file("in.gguf"));
    const auto out = formats::open_checkpoint(folder.file("out.gguf"));
    ASSERT_TRUE(in.has_value() && out.has_value());
    for (const NamedValues& tensor : tensors) {
      EXPECT_EQ(values_of(*in->find_tensor(tensor.name)), values_of(*out->find_tensor(tensor.name)))
          << tensor.name;
    }
  }
}

TEST(Convert, EqualTypesAreCopiedByteForByte) {
  const Folder folder;
  write_model(folder.file("in.gguf"), example_tensors(), DType::kQ8_0);
  std::vector<std::string> notes;
  ConvertOptions options;
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "q8_0", options));
  const auto in = formats::open_checkpoint(folder.file("in.gguf"));
  const auto out = formats::open_checkpoint(folder.file("out.gguf"));
  for (const auto& [name, view] : out->tensors) {
    if (view.shape.size() < 2) continue;
    const auto& source = *in->find_tensor(name);
    ASSERT_EQ(view.bytes.size(), source.bytes.size());
    EXPECT_EQ(std::memcmp(view.bytes.data(), source.bytes.data(), view.bytes.size()), 0) << name;
  }
}

TEST(Convert, TensorsOfSeveralPiecesEqualOnePiece) {
  const Folder folder;
  std::vector<NamedValues> tensors{{"token_embd.weight", {5000, 256}, {}}};
  for (int i = 0; i < 5000 * 256; ++i) {
    tensors[0].values.push_back(static_cast<float>(i % 977 - 488) / 512.0f);
  }
  write_model(folder.file("in.gguf"), tensors, DType::kF16);
  double last = 0.0;
  ConvertOptions options{.threads = 3, .on_progress = {}, .on_note = {}};
  options.on_progress = [&](double fraction) {
    EXPECT_GT(fraction, last);
    last = fraction;
  };
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "q8_0", options));
  EXPECT_DOUBLE_EQ(last, 1.0);
  const auto out = formats::open_checkpoint(folder.file("out.gguf"));
  const base::TensorView view = *out->find_tensor("token_embd.weight");
  std::vector<std::byte> wanted(view.bytes.size());
  kernels::quantise(DType::kQ8_0, tensors[0].values, {}, wanted.data());
  EXPECT_EQ(std::memcmp(wanted.data(), view.bytes.data(), wanted.size()), 0);
}

TEST(Convert, SaysWhatTheResultLost) {
  const Folder folder;
  std::vector<std::string> notes;
  ConvertOptions options;
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  std::vector<NamedValues> tensors = example_tensors();  // one has rows of 96
  write_model(folder.file("in.gguf"), tensors, DType::kQ4_0);
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "q8_0", options));
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes[0], HasSubstr("quantised before (q4_0)"));
  notes.clear();
  write_model(folder.file("in.gguf"), tensors, DType::kF32);
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "tq2_0", options));
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_THAT(notes[0], HasSubstr("1 tensors have rows that are not whole blocks of tq2_0"));
  EXPECT_THAT(notes[1], HasSubstr("ternary"));
  notes.clear();
  for (NamedValues& tensor : tensors) {
    for (float& value : tensor.values) value = value < -0.02f ? -0.5f : value > 0.02f ? 0.5f : 0.0f;
  }
  write_model(folder.file("in.gguf"), tensors, DType::kF32);
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "tq2_0", options));
  EXPECT_THAT(notes, ElementsAre(HasSubstr("whole blocks")));
}

TEST(Convert, AKnownModelStillMakesAProgram) {
  const Folder folder;
  ASSERT_TRUE(synthesise("llama-tiny:bf16", folder.file("in.gguf"), {}));
  ASSERT_TRUE(convert(folder.file("in.gguf"), folder.file("out.gguf"), "q8_0", {}));
  const auto out = formats::open_checkpoint(folder.file("out.gguf"));
  ASSERT_TRUE(out.has_value()) << out.error().message;
  const auto program = models::make_program(*out);
  EXPECT_TRUE(program.has_value()) << program.error().message;
  EXPECT_NE(out->metadata.texts("tokenizer.ggml.tokens"), nullptr);
}

std::string error_of(const base::Result<>& result) {
  return result ? "no error" : result.error().message;
}

TEST(Convert, RefusesWhatItCannotDo) {
  const Folder folder;
  const std::string in = folder.file("in.gguf"), out = folder.file("out.gguf");
  write_model(in, example_tensors(), DType::kF16);
  EXPECT_THAT(error_of(convert(in, out, "q9", {})), HasSubstr("q4_k_m"));
  EXPECT_THAT(error_of(convert(in, in, "q8_0", {})), HasSubstr("choose another name"));
  EXPECT_THAT(
      error_of(convert(
          in, folder.file("../") + fs::path(in).parent_path().filename().string() + "/in.gguf",
          "q8_0", {})),
      HasSubstr("choose another name"));
  EXPECT_THAT(error_of(convert(in, folder.file(""), "q8_0", {})), HasSubstr("is a directory"));
  EXPECT_THAT(error_of(convert(in, folder.file("none/out.gguf"), "q8_0", {})),
              HasSubstr("none/out.gguf"));
  EXPECT_FALSE(convert(folder.file("absent"), out, "q8_0", {}).has_value());
  std::ofstream(folder.file("notes.txt")) << "Dear diary";
  EXPECT_THAT(error_of(convert(folder.file("notes.txt"), out, "q8_0", {})),
              HasSubstr("not a model"));
  EXPECT_EQ(folder.entries(), 2U) << "nothing is left behind";
}

TEST(Convert, AFullDiskIsAnIoErrorAndLeavesNothing) {
  const Folder folder;
  std::vector<NamedValues> tensors{{"token_embd.weight", {5000, 256}, {}}};
  tensors[0].values.resize(5000 * 256, 0.25f);
  write_model(folder.file("in.gguf"), tensors, DType::kQ8_0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto done = convert(folder.file("in.gguf"), folder.file("out.gguf"), "f16", {});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, base::ErrorKind::kIo);
  EXPECT_THAT(done.error().message, HasSubstr("out.gguf"));
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(RowOrder, MakesRotatedPairsNeighbours) {
  const RowOrder whole{.head_dim = 8, .rope_dims = 8};
  const std::vector<int64_t> wanted{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  for (int64_t row = 0; row < 16; ++row) {
    EXPECT_EQ(whole.source_row(row), wanted[static_cast<size_t>(row)]) << row;
    EXPECT_EQ(RowOrder{}.source_row(row), row);
  }
  const RowOrder part{.head_dim = 8, .rope_dims = 4};
  const std::vector<int64_t> partly{0, 2, 1, 3, 4, 5, 6, 7, 8, 10, 9, 11, 12, 13, 14, 15};
  for (int64_t row = 0; row < 16; ++row) {
    EXPECT_EQ(part.source_row(row), partly[static_cast<size_t>(row)]) << row;
  }
}

}  // namespace
}  // namespace neuros::builder
