#include "formats/gguf_writer.h"

#include "formats/gguf_reader.h"
#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

namespace neuros::formats {
namespace {

using base::DType;
using test::bytes_of;
using test::error_of;
using test::pattern;
using ::testing::HasSubstr;

Metadata sample_metadata() {
  Metadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("general.alignment", int64_t{64});
  metadata.set("llama.block_count", int64_t{2});
  metadata.set("llama.rope.freq_base", 10000.0);
  metadata.set("a.negative", int64_t{-5});
  metadata.set("a.large", int64_t{1} << 40);
  metadata.set("a.flag", false);
  metadata.set("a.ids", MetadataArray{std::vector<int64_t>{1, -1, 3}});
  metadata.set("a.large_ids", MetadataArray{std::vector<int64_t>{1, int64_t{1} << 40}});
  metadata.set("a.scores", MetadataArray{std::vector<double>{0.5, -2.0}});
  metadata.set("a.flags", MetadataArray{std::vector<bool>{true, false, true}});
  metadata.set("a.words", MetadataArray{std::vector<std::string>{"x", "", "yz"}});
  metadata.set("a.none", MetadataArray{std::vector<int64_t>{}});
  return metadata;
}

std::vector<TensorDeclaration> sample_tensors() {
  return {{"token_embd.weight", DType::kF16, {5, 32}},
          {"blk.0.ffn_up.weight", DType::kQ4_K, {3, 512}},
          {"scalar", DType::kF32, {}},
          {"blk.0.ffn_down.weight", DType::kQ2_0_128, {16, 256}}};
}

/// Writes tensor i as pattern(bytes, i), in pieces.
base::Result<> write_all(GgufWriter& writer, size_t piece_bytes) {
  const auto tensors = sample_tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto elements = base::element_count(tensors[i].shape);
    const std::string bytes =
        pattern(static_cast<size_t>(base::bytes_of(tensors[i].dtype, elements)), i);
    for (size_t at = 0; at < bytes.size(); at += piece_bytes)
      TRY(writer.append(tensors[i].name,
                        bytes_of(std::string_view(bytes).substr(at, piece_bytes))));
  }
  return {};
}

TEST(GgufWriter, WhatIsWrittenIsRead) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("m.gguf");
  auto writer = GgufWriter::create(path, sample_metadata(), sample_tensors());
  ASSERT_TRUE(writer.has_value()) << error_of(writer);
  ASSERT_TRUE(write_all(*writer, 100).has_value());
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(writer->finish().has_value());
  EXPECT_EQ(writer->bytes_written(), writer->bytes_total());
  EXPECT_EQ(std::filesystem::file_size(path), writer->bytes_total());

  const auto read = open_gguf(path);
  ASSERT_TRUE(read.has_value()) << error_of(read);
  Metadata expected = sample_metadata();
  expected.erase("general.alignment");
  ASSERT_EQ(read->metadata.all().size(), expected.all().size());
  for (const auto& [key, value] : expected.all()) {
    const MetadataValue* found = read->metadata.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(found->index(), value.index()) << key;
    EXPECT_EQ(describe_type(*found), describe_type(value));
  }
  EXPECT_EQ(*read->metadata.integer("a.large"), int64_t{1} << 40);
  EXPECT_EQ(*read->metadata.integer("a.negative"), -5);
  EXPECT_THAT(*read->metadata.integers("a.ids"), ::testing::ElementsAre(1, -1, 3));
  EXPECT_THAT(*read->metadata.numbers("a.scores"), ::testing::ElementsAre(0.5, -2.0));
  EXPECT_THAT(*read->metadata.texts("a.words"), ::testing::ElementsAre("x", "", "yz"));

  const auto tensors = sample_tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto view = read->tensor(tensors[i].name);
    ASSERT_TRUE(view.has_value()) << tensors[i].name;
    EXPECT_EQ(view->dtype, tensors[i].dtype);
    EXPECT_EQ(view->shape, tensors[i].shape);
    EXPECT_EQ(
        std::memcmp(view->bytes.data(), pattern(view->bytes.size(), i).data(), view->bytes.size()),
        0);
  }
}

TEST(GgufWriter, TypesAreThoseOtherReadersExpect) {
  Metadata metadata;
  metadata.set("split.no", int64_t{3});
  metadata.set("tokenizer.ggml.precompiled_charsmap", MetadataArray{std::vector<int64_t>{1, 255}});
  metadata.set("x", int64_t{3});
  const auto header = encode_gguf_header(metadata, {});
  ASSERT_TRUE(header.has_value());
  const auto type_after = [&](std::string_view key) {
    uint32_t type = 0;
    std::memcpy(&type, header->bytes.data() + header->bytes.find(key) + key.size(), 4);
    return type;
  };
  EXPECT_EQ(type_after("split.no"), 2u);
  EXPECT_EQ(type_after("x"), 4u);
  const size_t array = header->bytes.find("charsmap") + 8 + 4;
  EXPECT_EQ(header->bytes[array], 0);  // u8
}

TEST(GgufWriter, RefusesWrongDeclarations) {
  const auto error = [](std::vector<TensorDeclaration> tensors) {
    return error_of(encode_gguf_header({}, tensors));
  };
  EXPECT_EQ(error({{"t", DType::kF32, {1}}, {"t", DType::kF32, {1}}}),
            "tensor t is declared twice");
  EXPECT_EQ(error({{"t", DType::kF32, {1, 1, 1, 1, 1}}}), "tensor t: 5 dimensions, limit 4");
  EXPECT_EQ(error({{"t", DType::kF32, {4, 0}}}), "tensor t: extent 0, expected 1 or more");
  EXPECT_EQ(error({{"t", DType::kQ4_K, {100}}}),
            "tensor t: rows of 100 elements, expected a multiple of 256 for q4_k");
  EXPECT_THAT(error({{std::string(70000, 'n'), DType::kF32, {1}}}), HasSubstr("70000 bytes"));
}

TEST(GgufWriter, RefusesBytesOutOfTurn) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("m.gguf");
  auto writer = GgufWriter::create(path, {}, {{"a", DType::kF32, {2}}, {"b", DType::kF32, {2}}});
  ASSERT_TRUE(writer.has_value());
  EXPECT_EQ(error_of(writer->append("b", bytes_of("1234"))),
            path + ": gguf: tensor b: expected bytes of a");
  EXPECT_EQ(error_of(writer->append("a", bytes_of("123456789"))),
            path + ": gguf: tensor a: 9 bytes more, only 8 left of 8");
  ASSERT_TRUE(writer->append("a", bytes_of("1234")).has_value());
  EXPECT_EQ(error_of(writer->finish()), path + ": gguf: tensor a: 4 bytes, expected 8");
  ASSERT_TRUE(writer->append("a", bytes_of("1234")).has_value());
  ASSERT_TRUE(writer->append("b", bytes_of("12345678")).has_value());
  EXPECT_EQ(error_of(writer->append("c", bytes_of("1"))),
            path + ": gguf: tensor c: all tensors are complete");
  EXPECT_TRUE(writer->finish().has_value());
}

TEST(GgufWriter, AnUnfinishedFileLeavesNothing) {
  const test::TemporaryDirectory directory;
  {
    auto writer = GgufWriter::create(directory.file("m.gguf"), {}, {{"a", DType::kF32, {2}}});
    ASSERT_TRUE(writer.has_value());
    GgufWriter moved = std::move(*writer);
    EXPECT_EQ(directory.entries(), 1u);
  }
  EXPECT_EQ(directory.entries(), 0u);
}

TEST(GgufWriter, AnUnfinishedFileKeepsTheOldOne) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("m.gguf", "old");
  { auto writer = GgufWriter::create(path, {}, {{"a", DType::kF32, {2}}}); }
  EXPECT_EQ(std::filesystem::file_size(path), 3u);
  auto writer = GgufWriter::create(path, {}, {});
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(writer->finish().has_value());
  EXPECT_TRUE(open_gguf(path).has_value());
  EXPECT_EQ(directory.entries(), 1u);
}

TEST(GgufWriter, ReportsWhatTheSystemRefuses) {
  const test::TemporaryDirectory directory;
  const auto nowhere = GgufWriter::create(directory.file("no/m.gguf"), {}, {});
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().kind, base::ErrorKind::kIo);
  EXPECT_THAT(nowhere.error().message, HasSubstr("No such file"));
}

/// A file size limit stands in for a full disk: both come back from write().
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_ = SIG_DFL;
};

TEST(GgufWriter, AFullDiskIsAnErrorAndLeavesNothing) {
  const test::TemporaryDirectory directory;
  constexpr int64_t kElements = 1 << 20;
  {
    auto writer =
        GgufWriter::create(directory.file("m.gguf"), {}, {{"a", DType::kF32, {kElements}}});
    ASSERT_TRUE(writer.has_value());
    const FileSizeLimit limit(1 << 20);
    const std::string bytes = pattern(4 * kElements, 0);
    const auto wrote = writer->append("a", bytes_of(bytes));
    ASSERT_FALSE(wrote.has_value());
    EXPECT_EQ(wrote.error().kind, base::ErrorKind::kIo);
    EXPECT_THAT(wrote.error().message, HasSubstr("cannot write: File too large"));
  }
  EXPECT_EQ(directory.entries(), 0u);
}

}  // namespace
}  // namespace neuros::formats
