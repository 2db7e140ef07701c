#include "formats/packed_weights.h"

#include "formats/test_support.h"

#include <cstring>

#include <gmock/gmock.h>

namespace neuros::formats {
namespace {

using test::error_of;
using testing::HasSubstr;

PackedWeightsHeader two_segments() {
  return {.key = 0x1234,
          .made_for = "tiny.gguf for ref",
          .segments = {{"embed", 8192, 11}, {"layer 0", 4096, 22}}};
}

uint64_t file_bytes(const std::vector<std::byte>& header) {
  return header.size() + two_segments().data_bytes();
}

TEST(PackedWeights, AHeaderReadsBackAsItWasWritten) {
  const PackedWeightsHeader header = two_segments();
  const std::vector<std::byte> bytes = encode_packed_header(header);
  EXPECT_EQ(bytes.size(), kPackedAlignment);
  EXPECT_EQ(packed_header_bytes(std::span(bytes).first(16)).value(), bytes.size());
  const auto read = parse_packed_header(bytes, file_bytes(bytes));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->key, header.key);
  EXPECT_EQ(read->made_for, header.made_for);
  ASSERT_EQ(read->segments.size(), 2U);
  EXPECT_EQ(read->segments[1].name, "layer 0");
  EXPECT_EQ(read->segments[1].bytes, 4096U);
  EXPECT_EQ(read->segments[1].hash, 22U);
}

TEST(PackedWeights, AnyChangedByteOfTheHeaderIsNoticed) {
  const std::vector<std::byte> bytes = encode_packed_header(two_segments());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<std::byte> changed = bytes;
    changed[i] ^= std::byte{4};
    EXPECT_FALSE(parse_packed_header(changed, file_bytes(bytes)).has_value()) << i;
  }
}

TEST(PackedWeights, SaysWhatIsWrong) {
  std::vector<std::byte> bytes = encode_packed_header(two_segments());
  EXPECT_EQ(error_of(parse_packed_header(bytes, file_bytes(bytes) - 1)),
            std::to_string(file_bytes(bytes) - 1) + " bytes, expected " +
                std::to_string(file_bytes(bytes)));
  EXPECT_THAT(error_of(parse_packed_header(std::span(bytes).first(10), 10)), HasSubstr("version"));
  EXPECT_THAT(error_of(packed_header_bytes(test::bytes_of("GGUF1234and more"))),
              HasSubstr("not a file of packed weights"));
  bytes[8] = std::byte{2};
  EXPECT_EQ(error_of(parse_packed_header(bytes, file_bytes(bytes))), "version 2, expected 1");
}

TEST(PackedWeights, ASegmentsHashDependsOnTheOrderOfItsParts) {
  const std::vector<uint64_t> parts{1, 2}, swapped{2, 1};
  EXPECT_NE(packed_segment_hash(parts), packed_segment_hash(swapped));
}

}  // namespace
}  // namespace neuros::formats
