#include "formats/describe.h"

#include "formats/gguf_reader.h"
#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::formats {
namespace {

using base::DType;
using ::testing::HasSubstr;

class Describe : public ::testing::Test {
 protected:
  void SetUp() override {
    Metadata metadata;
    metadata.set("general.name", std::string("a\nb"));
    metadata.set("llama.rope.freq_base", 10000.0);
    metadata.set("ids", MetadataArray{std::vector<int64_t>{1, 2, 3, 4}});
    metadata.set("flags", MetadataArray{std::vector<bool>{true}});
    metadata.set("raw", std::string("\xff"));
    file_ = test::gguf_image(metadata, {{"blk.10.w", DType::kF32, {2, 8}},
                                        {"blk.2.w", DType::kQ4_0, {4, 64}},
                                        {"blk.2.b", DType::kF32, {8}}});
    auto parsed = parse_gguf(test::bytes_of(file_));
    ASSERT_TRUE(parsed.has_value());
    checkpoint_ = std::move(*parsed);
    checkpoint_.path = "m.gguf";
  }

  std::string file_;
  Checkpoint checkpoint_;
};

TEST_F(Describe, TextShowsMetadataTensorsAndTotals) {
  const std::string text = describe(checkpoint_, {.array_items_max = 3});
  EXPECT_THAT(text, HasSubstr("m.gguf (gguf"));
  EXPECT_THAT(text, HasSubstr("  general.name          \"a\\nb\"\n"));
  EXPECT_THAT(text, HasSubstr("array of 4 integers: [1, 2, 3, ...]"));
  EXPECT_THAT(text, HasSubstr("array of 1 booleans: [true]"));
  EXPECT_THAT(text, HasSubstr("  blk.2.w   q4_0      [4, 64]           144\n"));
  EXPECT_LT(text.find("blk.2.b"), text.find("blk.2.w"));
  EXPECT_LT(text.find("blk.2.w"), text.find("blk.10.w"));
  EXPECT_THAT(text, HasSubstr("  q4_0           1 tensors             256 elements       144 B\n"));
  EXPECT_THAT(text, HasSubstr("  all            3 tensors             280 elements       240 B\n"));
}

TEST_F(Describe, JsonIsWhole) {
  const auto json = nlohmann::json::parse(describe_json(checkpoint_, {.array_items_max = 3}));
  EXPECT_EQ(json["path"], "m.gguf");
  EXPECT_EQ(json["source"], "gguf");
  EXPECT_EQ(json["metadata"]["general.name"], "a\nb");
  EXPECT_EQ(json["metadata"]["ids"]["count"], 4);
  EXPECT_EQ(json["metadata"]["ids"]["first"].size(), 3u);
  EXPECT_EQ(json["metadata"]["flags"][0], true);
  EXPECT_EQ(json["metadata"]["raw"], "\xef\xbf\xbd");
  EXPECT_EQ(json["tensors"][2]["name"], "blk.10.w");
  EXPECT_EQ(json["tensors"][1]["shape"], nlohmann::json::array({4, 64}));
  EXPECT_EQ(json["tensors"][1]["bytes"], 144);
  EXPECT_EQ(json["totals"][0]["dtype"], "q4_0");
  EXPECT_EQ(json["totals"][1]["elements"], 24);
}

}  // namespace
}  // namespace neuros::formats
