#include "formats/safetensors_reader.h"

#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using base::DType;
using test::bytes_of;
using test::error_of;
using test::RawFile;
using ::testing::HasSubstr;

std::string file_of(std::string_view header, size_t data_bytes) {
  return RawFile().text(header).raw(test::pattern(data_bytes, 3)).bytes();
}

std::string parse_error(std::string_view header, size_t data_bytes) {
  return error_of(parse_safetensors(bytes_of(file_of(header, data_bytes))));
}

TEST(Safetensors, ReadsTensorsInPlace) {
  const std::string file = file_of(R"({"__metadata__":{"format":"pt"},
    "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
    "s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
    "e":{"dtype":"F16","shape":[0,7],"data_offsets":[16,16]},
    "i":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},
    "m":{"dtype":"BOOL","shape":[3],"data_offsets":[24,27]}}   )",
                                   27);
  const auto tensors = parse_safetensors(bytes_of(file));
  ASSERT_TRUE(tensors.has_value()) << error_of(tensors);
  ASSERT_EQ(tensors->size(), 4u);
  EXPECT_EQ(tensors->at("b").dtype, DType::kBF16);
  EXPECT_EQ(tensors->at("b").shape, (base::Shape{2, 3}));
  EXPECT_EQ(static_cast<char>(tensors->at("b").bytes[0]), test::pattern(27, 3)[4]);
  EXPECT_EQ(tensors->at("s").bytes.size(), 4u);
  EXPECT_EQ(tensors->at("e").bytes.size(), 0u);
  EXPECT_EQ(tensors->at("i").dtype, DType::kI64);
}

TEST(Safetensors, RefusesBadHeaders) {
  EXPECT_THAT(error_of(parse_safetensors(bytes_of("1234"))), HasSubstr("header length: needs 8"));
  EXPECT_EQ(error_of(parse_safetensors(bytes_of(RawFile().put(uint64_t{1} << 60).bytes()))),
            "safetensors: header of 1152921504606846976 bytes, limit 100000000");
  EXPECT_THAT(error_of(parse_safetensors(bytes_of(RawFile().put(uint64_t{50}).bytes()))),
              HasSubstr("header: needs 50 bytes"));
  EXPECT_THAT(parse_error(" {}", 0), HasSubstr("does not begin with {"));
  EXPECT_THAT(parse_error("{\"a\":", 0), HasSubstr("JSON malformed"));
  EXPECT_THAT(parse_error("{} x", 0), HasSubstr("JSON malformed"));
  EXPECT_THAT(parse_error(R"({"a":[[[[[[[[[[]]]]]]]]]]})", 0), HasSubstr("deeper than 8"));
  EXPECT_THAT(parse_error(R"({"a":1,"a":2})", 0), HasSubstr("key a twice"));
  EXPECT_THAT(parse_error(R"({"__metadata__":{"n":1}})", 0),
              HasSubstr("__metadata__: n is number"));
}

/// One tensor "t" with these fields over 16 bytes.
std::string tensor_error(const std::string& fields) {
  return parse_error("{\"t\":{" + fields + "}}", 16);
}

TEST(Safetensors, RefusesBadTensors) {
  EXPECT_THAT(parse_error(R"({"t":5})", 0), HasSubstr("tensor t: expected exactly dtype"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[4])"), HasSubstr("expected exactly"));
  EXPECT_EQ(tensor_error(R"("dtype":"F64","shape":[2],"data_offsets":[0,16])"),
            "safetensors: tensor t: element type F64 is not supported");
  EXPECT_THAT(tensor_error(R"("dtype":3,"shape":[2],"data_offsets":[0,16])"),
              HasSubstr("dtype is number 3"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])"),
              HasSubstr("shape holds number -4"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":"x","data_offsets":[0,16])"),
              HasSubstr("shape is a string"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,16])"),
              HasSubstr("9 dimensions, limit 8"));
  EXPECT_THAT(
      tensor_error(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16])"),
      HasSubstr("more than 2^63-1 elements"));
}

TEST(Safetensors, RefusesBadOffsets) {
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[4],"data_offsets":[0])"),
              HasSubstr("not a pair"));
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[4],"data_offsets":[-1,16])"),
              HasSubstr("data_offsets holds number -1"));
  EXPECT_EQ(tensor_error(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])"),
            "safetensors: tensor t: bytes 16 to 0, file has 16");
  EXPECT_EQ(tensor_error(R"("dtype":"F32","shape":[5],"data_offsets":[0,20])"),
            "safetensors: tensor t: bytes 0 to 20, file has 16");
  EXPECT_EQ(tensor_error(R"("dtype":"F32","shape":[3],"data_offsets":[0,16])"),
            "safetensors: tensor t: 16 bytes, expected 12 for F32 [3]");
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& second, size_t data_bytes) {
    return parse_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"F32","shape":[2],"data_offsets":)" +
                           second + "}}",
                       data_bytes);
  };
  EXPECT_EQ(two("[4,12]", 12), "safetensors: tensor b: begins at byte 4, overlaps, expected 8");
  EXPECT_EQ(two("[12,20]", 20),
            "safetensors: tensor b: begins at byte 12, leaves a hole, expected 8");
  EXPECT_EQ(two("[8,16]", 17), "safetensors: tensors end at byte 16, file has 17");
}

TEST(SafetensorsIndex, ReadsPlainNamesOnly) {
  const auto files = parse_safetensors_index(R"({"metadata":{},"weight_map":{"a":"x","b":"y"}})");
  ASSERT_TRUE(files.has_value());
  EXPECT_EQ(files->at("b"), "y");
  for (const char* name : {"../x", "/etc/passwd", "..", "", "a\\\\b", "a\\u0000b"}) {
    const std::string text = std::string(R"({"weight_map":{"a":")") + name + R"("}})";
    EXPECT_THAT(error_of(parse_safetensors_index(text)), HasSubstr("not a plain file name"));
  }
  EXPECT_THAT(error_of(parse_safetensors_index("{}")), HasSubstr("weight_map is missing"));
  EXPECT_THAT(error_of(parse_safetensors_index("[]")), HasSubstr("expected an object"));
}

}  // namespace
}  // namespace neuros::formats
