#include "formats/gguf_reader.h"

#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using base::DType;
using test::bytes_of;
using test::error_of;
using test::gguf_image;
using test::RawFile;
using ::testing::HasSubstr;

constexpr uint32_t kF32Id = 0;
constexpr uint32_t kQ4_0Id = 2;

RawFile header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return RawFile().raw("GGUF").put(version).put(tensors).put(keys);
}

RawFile& key(RawFile& file, std::string_view name, GgufValueType type) {
  return file.text(name).put(static_cast<uint32_t>(type));
}

struct Info {
  std::string name = "t";
  std::vector<uint64_t> extents{32};  ///< as in the file, fastest first
  uint32_t type = kF32Id;
  uint64_t offset = 0;
};

RawFile& put_info(RawFile& file, const Info& info) {
  file.text(info.name).put(static_cast<uint32_t>(info.extents.size()));
  for (const uint64_t extent : info.extents) file.put(extent);
  return file.put(info.type).put(info.offset);
}

/// A file with these tensors, no keys, and `data` bytes of data section.
std::string with_tensors(const std::vector<Info>& infos, size_t data) {
  RawFile file = header(infos.size(), 0);
  for (const Info& info : infos) put_info(file, info);
  return file.pad(32).raw(std::string(data, '\1')).bytes();
}

std::string parse_error(std::string_view file) {
  return error_of(parse_gguf(bytes_of(file)));
}

TEST(GgufReader, ReadsEveryValueType) {
  RawFile file = header(0, 12);
  key(file, "u8", GgufValueType::kU8).put(uint8_t{200});
  key(file, "i8", GgufValueType::kI8).put(int8_t{-100});
  key(file, "u16", GgufValueType::kU16).put(uint16_t{60000});
  key(file, "i16", GgufValueType::kI16).put(int16_t{-30000});
  key(file, "u32", GgufValueType::kU32).put(uint32_t{4000000000});
  key(file, "i32", GgufValueType::kI32).put(int32_t{-2000000000});
  key(file, "f32", GgufValueType::kF32).put(0.25f);
  key(file, "bool", GgufValueType::kBool).put(uint8_t{1});
  key(file, "string", GgufValueType::kString).text("text");
  key(file, "u64", GgufValueType::kU64).put(uint64_t{1} << 62);
  key(file, "i64", GgufValueType::kI64).put(int64_t{-1});
  key(file, "f64", GgufValueType::kF64).put(0.1);
  const auto checkpoint = parse_gguf(bytes_of(file.bytes()));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  const Metadata& metadata = checkpoint->metadata;
  EXPECT_EQ(*metadata.integer("u8"), 200);
  EXPECT_EQ(*metadata.integer("i8"), -100);
  EXPECT_EQ(*metadata.integer("u16"), 60000);
  EXPECT_EQ(*metadata.integer("i16"), -30000);
  EXPECT_EQ(*metadata.integer("u32"), 4000000000);
  EXPECT_EQ(*metadata.integer("i32"), -2000000000);
  EXPECT_EQ(*metadata.number("f32"), 0.25);
  EXPECT_EQ(metadata.boolean_or_none("bool"), true);
  EXPECT_EQ(*metadata.text("string"), "text");
  EXPECT_EQ(*metadata.integer("u64"), int64_t{1} << 62);
  EXPECT_EQ(*metadata.integer("i64"), -1);
  EXPECT_EQ(*metadata.number("f64"), 0.1);
}

TEST(GgufReader, ReadsVersion2AndArrays) {
  RawFile file = header(0, 2, 2);
  key(file, "ids", GgufValueType::kArray).put(uint32_t{5}).put(uint64_t{2}).put(7).put(-8);
  key(file, "words", GgufValueType::kArray).put(uint32_t{8}).put(uint64_t{2}).text("a").text("");
  const auto checkpoint = parse_gguf(bytes_of(file.bytes()));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  EXPECT_THAT(*checkpoint->metadata.integers("ids"), ::testing::ElementsAre(7, -8));
  EXPECT_THAT(*checkpoint->metadata.texts("words"), ::testing::ElementsAre("a", ""));
}

TEST(GgufReader, TensorsAreViewsWithRowsFirst) {
  const std::string file =
      gguf_image({}, {{"a", DType::kF32, {3, 5}}, {"b", DType::kQ4_0, {2, 64}}});
  const auto checkpoint = parse_gguf(bytes_of(file));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  const auto a = *checkpoint->tensor("a");
  const auto b = *checkpoint->tensor("b");
  EXPECT_EQ(a.shape, (base::Shape{3, 5}));
  EXPECT_EQ(a.bytes.size(), 60u);
  EXPECT_EQ(b.dtype, DType::kQ4_0);
  EXPECT_EQ(b.bytes.size(), 72u);
  EXPECT_EQ(std::memcmp(b.bytes.data(), test::pattern(72, 1).data(), 72), 0);
  EXPECT_GE(reinterpret_cast<const char*>(a.bytes.data()), file.data());
  EXPECT_LE(reinterpret_cast<const char*>(b.bytes.data() + 72), file.data() + file.size());
}

TEST(GgufReader, HonoursTheAlignmentKey) {
  RawFile file = header(2, 1);
  key(file, "general.alignment", GgufValueType::kU32).put(uint32_t{64});
  put_info(file, {"a", {4}, kF32Id, 0});
  put_info(file, {"b", {4}, kF32Id, 64});
  file.pad(64).raw(std::string(64, 'a')).raw(std::string(16, 'b'));
  const auto checkpoint = parse_gguf(bytes_of(file.bytes()));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  EXPECT_EQ(static_cast<char>(checkpoint->tensor("b")->bytes[0]), 'b');
}

TEST(GgufReader, RefusesOtherFilesAndVersions) {
  EXPECT_EQ(parse_error(""), "gguf: magic: needs 4 bytes at offset 0, file ends after 0");
  EXPECT_THAT(parse_error("GGML\3\0\0\0"), HasSubstr("bad magic"));
  EXPECT_EQ(parse_error(header(0, 0, 1).bytes()), "gguf: version 1, supported are 2 and 3");
  EXPECT_EQ(parse_error(header(0, 0, 4).bytes()), "gguf: version 4, supported are 2 and 3");
  EXPECT_THAT(parse_error(header(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
}

TEST(GgufReader, RefusesCountsThatCannotBe) {
  EXPECT_EQ(parse_error(header(uint64_t{1} << 40, 0).bytes()),
            "gguf: 1099511627776 tensors, limit 1048576");
  EXPECT_EQ(parse_error(header(0, 2000000).bytes()), "gguf: 2000000 keys, limit 1048576");
  EXPECT_EQ(parse_error(header(0, 5).bytes()), "gguf: 5 keys, only 0 bytes left in the file");
  EXPECT_EQ(parse_error(header(5, 0).bytes()), "gguf: 5 tensors, only 0 bytes left in the file");
}

/// A file with one key "k" of this type; `rest` is the value.
std::string with_value(GgufValueType type, const RawFile& rest) {
  RawFile file = header(0, 1);
  return key(file, "k", type).raw(rest.bytes()).raw(std::string(16, '\0')).bytes();
}

TEST(GgufReader, RefusesBadValues) {
  using T = GgufValueType;
  EXPECT_EQ(parse_error(with_value(T::kBool, RawFile().put(uint8_t{2}))),
            "gguf: key k: boolean 2, expected 0 or 1");
  EXPECT_EQ(parse_error(with_value(T::kU64, RawFile().put(uint64_t{1} << 63))),
            "gguf: key k: 9223372036854775808 is above 2^63-1");
  EXPECT_EQ(parse_error(with_value(static_cast<T>(13), RawFile().put(uint64_t{0}))),
            "gguf: key k: value type 13, expected 0 to 12");
  EXPECT_EQ(parse_error(with_value(T::kString, RawFile().put(uint64_t{1} << 40))),
            "gguf: key k: string of 1099511627776 bytes, limit 268435456");
  EXPECT_EQ(parse_error(with_value(T::kString, RawFile().put(uint64_t{17}))),
            "gguf: key k: needs 17 bytes at offset 45, file ends after 16");
}

TEST(GgufReader, RefusesBadArrays) {
  const auto array = [](uint32_t type, uint64_t count) {
    return parse_error(with_value(GgufValueType::kArray, RawFile().put(type).put(count)));
  };
  EXPECT_EQ(array(9, 1), "gguf: key k: arrays of arrays are not supported");
  EXPECT_EQ(array(99, 1), "gguf: key k: value type 99, expected 0 to 12");
  EXPECT_EQ(array(4, 5), "gguf: key k: array of 5 elements, only 16 bytes left in the file");
  EXPECT_EQ(array(8, 3), "gguf: key k: array of 3 elements, only 16 bytes left in the file");
  EXPECT_EQ(array(0, uint64_t{1} << 63),
            "gguf: key k: array of 9223372036854775808 elements, limit 16777216");
}

TEST(GgufReader, RefusesBadKeys) {
  RawFile twice = header(0, 2);
  key(twice, "k", GgufValueType::kU8).put(uint8_t{0});
  key(twice, "k", GgufValueType::kU8).put(uint8_t{0});
  EXPECT_EQ(parse_error(twice.bytes()), "gguf: key k appears twice");
  RawFile longer = header(0, 1);
  longer.put(uint64_t{65536}).raw(std::string(70000, 'k'));
  EXPECT_EQ(parse_error(longer.bytes()), "gguf: key 0: string of 65536 bytes, limit 65535");
}

TEST(GgufReader, RefusesBadAlignment) {
  const auto alignment = [](uint32_t value) {
    RawFile file = header(0, 1);
    return parse_error(key(file, "general.alignment", GgufValueType::kU32).put(value).bytes());
  };
  EXPECT_THAT(alignment(0), HasSubstr("alignment 0, expected a power of two"));
  EXPECT_THAT(alignment(24), HasSubstr("alignment 24"));
  EXPECT_THAT(alignment(4), HasSubstr("alignment 4"));
  EXPECT_THAT(alignment(1u << 31), HasSubstr("alignment 2147483648"));
}

TEST(GgufReader, RefusesBadShapes) {
  const uint64_t huge = uint64_t{1} << 40;
  EXPECT_EQ(parse_error(with_tensors({{"t", {1, 1, 1, 1, 1}}}, 32)),
            "gguf: tensor t: 5 dimensions, limit 4");
  EXPECT_EQ(parse_error(with_tensors({{"t", {4, 0}}}, 32)),
            "gguf: tensor t: extent 0, expected 1 to 2^63-1");
  EXPECT_THAT(parse_error(with_tensors({{"t", {uint64_t{1} << 63}}}, 32)), HasSubstr("extent 922"));
  EXPECT_THAT(parse_error(with_tensors({{"t", {huge, huge}}}, 32)),
              HasSubstr("more than 2^63-1 elements"));
  EXPECT_THAT(parse_error(with_tensors({{"t", {huge, 1u << 22}}}, 32)),
              HasSubstr("more than 2^63-1 bytes"));
  EXPECT_EQ(parse_error(with_tensors({{"t", {33, 2}, kQ4_0Id}}, 64)),
            "gguf: tensor t: rows of 33 elements, expected a multiple of 32 for q4_0");
}

TEST(GgufReader, RefusesOtherElementTypesByName) {
  EXPECT_EQ(parse_error(with_tensors({{"blk.0.ffn_up.weight", {32}, 39}}, 32)),
            "gguf: tensor blk.0.ffn_up.weight: element type mxfp4 (id 39) is not supported");
  EXPECT_EQ(parse_error(with_tensors({{"t", {256}, 16}}, 32)),
            "gguf: tensor t: element type iq2_xxs (id 16) is not supported");
  EXPECT_EQ(parse_error(with_tensors({{"t", {256}, 9999}}, 32)),
            "gguf: tensor t: unknown element type (id 9999)");
  const auto refused = parse_gguf(bytes_of(with_tensors({{"t", {32}, 39}}, 32)));
  EXPECT_EQ(refused.error().kind, base::ErrorKind::kUnsupported);
}

TEST(GgufReader, RefusesBadOffsets) {
  EXPECT_EQ(parse_error(with_tensors({{"t", {32}, kF32Id, 4}}, 256)),
            "gguf: tensor t: offset 4 is not a multiple of the alignment 32");
  EXPECT_EQ(parse_error(with_tensors({{"t", {32}, kF32Id, 32}}, 256)),
            "gguf: tensor t: offset 32 leaves a hole, expected 0");
  EXPECT_EQ(parse_error(with_tensors({{"a", {32}}, {"b", {32}, kF32Id, 96}}, 256)),
            "gguf: tensor b: offset 96 overlaps, expected 128 (end of a)");
  EXPECT_EQ(parse_error(with_tensors({{"a", {32}}, {"b", {32}, kF32Id, 160}}, 512)),
            "gguf: tensor b: offset 160 leaves a hole, expected 128 (end of a)");
  EXPECT_EQ(parse_error(with_tensors({{"t", {32}}}, 127)),
            "gguf: tensor t: 128 bytes at offset 0, data section has 127");
  EXPECT_EQ(parse_error(with_tensors({{"t", {32}}, {"t", {32}, kF32Id, 128}}, 256)),
            "gguf: tensor t appears twice");
}

TEST(GgufReader, TensorsMayComeInAnyOrder) {
  const std::string file = with_tensors({{"b", {8}, kF32Id, 128}, {"a", {32}, kF32Id, 0}}, 160);
  const auto checkpoint = parse_gguf(bytes_of(file));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  EXPECT_EQ(checkpoint->tensor("b")->bytes.size(), 32u);
}

TEST(GgufReader, TellsTheTwoLayoutsOfQ2_0Apart) {
  for (const DType dtype : {DType::kQ2_0, DType::kQ2_0_128}) {
    const std::string file = gguf_image({}, {{"big", dtype, {16, 256}}, {"last", dtype, {8, 512}}});
    const auto checkpoint = parse_gguf(bytes_of(file));
    ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
    EXPECT_EQ(checkpoint->tensor("big")->dtype, dtype);
    EXPECT_EQ(checkpoint->tensor("last")->dtype, dtype);
  }
}

TEST(GgufReader, Q2_0RowsOf64DecideToo) {
  const std::string file = gguf_image({}, {{"narrow", DType::kQ2_0, {1, 64}}});
  EXPECT_EQ(parse_gguf(bytes_of(file))->tensor("narrow")->dtype, DType::kQ2_0);
}

TEST(GgufReader, SmallQ2_0TensorsFollowTheOthers) {
  for (const DType dtype : {DType::kQ2_0, DType::kQ2_0_128}) {
    const std::string file =
        gguf_image({}, {{"small", dtype, {1, 256}}, {"big", dtype, {64, 256}}});
    EXPECT_EQ(parse_gguf(bytes_of(file))->tensor("small")->dtype, dtype);
  }
  const std::string alone = gguf_image({}, {{"small", DType::kQ2_0, {1, 256}}});
  EXPECT_EQ(parse_error(alone),
            "gguf: tensor small: q2_0 [1, 256]: blocks of 64 and of 128 both fit its 96 bytes and "
            "no other tensor of the file decides between them");
  const std::string mixed = gguf_image({}, {{"small", DType::kQ2_0, {1, 256}},
                                            {"a", DType::kQ2_0, {64, 256}},
                                            {"b", DType::kQ2_0_128, {64, 256}}});
  EXPECT_THAT(parse_error(mixed), HasSubstr("tensor small"));
}

TEST(GgufReader, Q2_0ThatFitsNeitherLayoutIsRefused) {
  EXPECT_EQ(parse_error(with_tensors({{"t", {128}, 42}}, 1024)),
            "gguf: tensor t: q2_0 [128] has 1024 bytes, which fits neither blocks of 64 (36 bytes) "
            "nor blocks of 128 (34 bytes)");
  EXPECT_THAT(parse_error(with_tensors({{"t", {65}, 42}}, 64)),
              HasSubstr("(rows are not whole blocks)"));
}

TEST(GgufReader, ErrorsOfAFileBeginWithItsPath) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("m.gguf", header(0, 0, 1).bytes());
  EXPECT_EQ(error_of(open_gguf(path)), path + ": gguf: version 1, supported are 2 and 3");
  EXPECT_EQ(open_gguf(directory.file("none")).error().kind, base::ErrorKind::kNotFound);
}

}  // namespace
}  // namespace neuros::formats
