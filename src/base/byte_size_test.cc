#include "base/byte_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::base {
namespace {

using testing::HasSubstr;

TEST(ByteSize, DecimalAndBinaryUnits) {
  EXPECT_EQ(parse_bytes("24GB").value(), 24'000'000'000);
  EXPECT_EQ(parse_bytes("24GiB").value(), int64_t{24} << 30);
  EXPECT_EQ(parse_bytes("512m").value(), 512'000'000);
  EXPECT_EQ(parse_bytes("1.5kib").value(), 1536);
  EXPECT_EQ(parse_bytes("17").value(), 17);
  EXPECT_EQ(parse_bytes("17B").value(), 17);
}

TEST(ByteSize, SaysWhatIsWrong) {
  const auto error = [](std::string_view text) { return parse_bytes(text).error().message; };
  for (const char* text : {"", "GB", "-1GB", ".5GB", "inf", "nan"}) {
    EXPECT_THAT(error(text), HasSubstr("expected a number with a unit")) << text;
  }
  EXPECT_THAT(error("1e9"), HasSubstr("unit E9, expected B, K"));
  EXPECT_THAT(error("3 GB"), HasSubstr("unit  GB"));
  EXPECT_THAT(error("3XB"), HasSubstr("unit XB"));
  EXPECT_THAT(error("1000001T"), HasSubstr("too large"));
}

TEST(ByteSize, WritesTheShortestTextThatReadsBack) {
  EXPECT_EQ(bytes_text(24'000'000'000), "24GB");
  EXPECT_EQ(bytes_text(int64_t{24} << 30), "24GiB");
  EXPECT_EQ(bytes_text(1'000'001), "1000001");
  EXPECT_EQ(bytes_text(0), "0");
  for (const int64_t bytes : {int64_t{1}, int64_t{1024}, int64_t{1000}, int64_t{1'500'000},
                              int64_t{9'007'199'254'740'993}, int64_t{999'999'999'999'999'000}}) {
    EXPECT_EQ(parse_bytes(bytes_text(bytes)).value(), bytes);
  }
}

TEST(Mebibytes, RoundsUp) {
  EXPECT_EQ(mebibytes(0), "0.0 MiB");
  EXPECT_EQ(mebibytes(1), "0.1 MiB");
  EXPECT_EQ(mebibytes(3 << 19), "1.5 MiB");
  EXPECT_EQ(mebibytes((10 << 20) + 1), "11 MiB");
  EXPECT_EQ(mebibytes(kByteSizeMax), "953674316407 MiB");
}

}  // namespace
}  // namespace neuros::base
