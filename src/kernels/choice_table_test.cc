#include "kernels/choice_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using base::DType;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kMagic = "neuros kernel choices 1\n";

/// A table of one row.
base::Result<std::vector<ChoiceRow>> parse(const std::string& row) {
  return parse_choice_table(kMagic + row + "\n");
}
std::string error_of(const std::string& row) {
  const auto rows = parse(row);
  return rows ? "it was read" : rows.error().message;
}

TEST(ChoiceTable, ReadsRowsCommentsAndEmptyLines) {
  const auto rows = parse_choice_table(
      "neuros kernel choices 1\r\n# device op\n\n"
      "sm_90/132 prompt q4_k 6144 4096 512 128 61.2 66.9  # measured\r\n"
      "\tsm_90/132  decode_step Q8_0 4096 4096 1 0 2000 3000.5");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 2u);
  const ChoiceRow& row = rows->front();
  EXPECT_EQ(row.device, "sm_90/132");
  const ChoiceKey key{ChoiceOp::kPrompt, DType::kQ4_K, 6144, 4096, 512};
  EXPECT_EQ(row.choice, (KernelChoice{key, 128}));
  EXPECT_EQ(row.time_us, 61.2);
  EXPECT_EQ(row.default_us, 66.9);
  EXPECT_EQ(rows->back().choice.key.dtype, DType::kQ8_0);
  EXPECT_EQ(rows->back().choice.value, 0);
}

TEST(ChoiceTable, ReadsWhatItWrites) {
  std::vector<ChoiceRow> rows;
  for (int i = 0; i < kChoiceOpCount; ++i) {
    const auto op = static_cast<ChoiceOp>(i);
    const int64_t tokens = op == ChoiceOp::kDecodeStep ? 1 : 64;
    const int32_t value = op == ChoiceOp::kPrompt || op == ChoiceOp::kPromptGated ? 384 : 1;
    rows.push_back({"sm_90/132", {{op, DType::kTQ2_0, 28672, 4096, tokens}, value}, 1.25, 2.5});
  }
  const auto read = parse_choice_table(format_choice_table(rows));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  ASSERT_EQ(read->size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ((*read)[i].choice, rows[i].choice);
    EXPECT_EQ((*read)[i].time_us, 1.25);
  }
}

TEST(ChoiceTable, ErrorsNameTheLineAndTheValue) {
  EXPECT_THAT(parse_choice_table("").error().message, StartsWith("line 1:"));
  EXPECT_THAT(parse_choice_table("neuros kernel choices 2\n").error().message,
              HasSubstr("choices 2, expected 'neuros kernel choices 1'"));
  EXPECT_THAT(parse_choice_table(std::string((1 << 20) + 1, '\n')).error().message,
              HasSubstr("1048577 bytes"));
  EXPECT_EQ(error_of("sm_90/132 prompt q4_k"), "line 2: 3 fields, expected 9");
  EXPECT_THAT(error_of("sm_90/132 prompt q4_k 1 1 64 64 1 2 3"), HasSubstr("10 fields"));
  EXPECT_THAT(error_of(std::string(33, 'd') + " prompt q4_k 1 1 64 64 1 2"), HasSubstr("device"));
  EXPECT_THAT(error_of("d pr\x1bompt q4_k 1 1 64 64 1 2"),
              HasSubstr("op pr?ompt, expected one of prompt, prompt_gated"));
  EXPECT_THAT(error_of("d prompt i8 1 1 64 64 1 2"), HasSubstr("type i8"));
  EXPECT_THAT(error_of("d prompt q4_k 0 1 64 64 1 2"), HasSubstr("rows 0, expected 1 to"));
  EXPECT_THAT(error_of("d prompt q4_k 1 1x 64 64 1 2"), HasSubstr("cols 1x, expected 1 to"));
  EXPECT_THAT(error_of("d prompt q4_k 1 99999999999999999999 64 64 1 2"), HasSubstr("cols 999"));
  EXPECT_THAT(error_of("d prompt q4_k 1 1 32 64 1 2"), HasSubstr("a power of two from 64 on"));
  EXPECT_THAT(error_of("d decode_many q4_k 1 1 40 4 1 2"), HasSubstr("tokens 40"));
  EXPECT_THAT(error_of("d decode_step q4_k 1 1 2 1 1 2"), HasSubstr("tokens 2, expected 1 to 1"));
  EXPECT_THAT(error_of("d prompt q4_k 1 1 64 65 1 2"), HasSubstr("choice 65, expected 64"));
  EXPECT_THAT(error_of("d decode_many q4_k 1 1 64 9 1 2"), HasSubstr("choice 9, expected 1 to 8"));
  EXPECT_THAT(error_of("d decode_many bf16 1 1 64 8 1 2"),
              HasSubstr("choice 8, expected 101 to 416"));
  EXPECT_THAT(error_of("d decode_step q4_k 1 1 1 2 1 2"), HasSubstr("choice 2, expected 0 to 1"));
  EXPECT_THAT(error_of("d prompt q4_k 1 1 64 64 0 2"), HasSubstr("time_us 0"));
  EXPECT_THAT(error_of("d prompt q4_k 1 1 64 64 1 nan"), HasSubstr("default_us nan"));
  EXPECT_EQ(error_of("d prompt q4_k 1 1 64 64 1 2\n\nd prompt q4_k 1 1 64 128 1 2"),
            "line 4: the same launch as line 2");
}

TEST(KernelChoices, FindsTheBucketOfATokenCount) {
  const ChoiceKey prompt{ChoiceOp::kPrompt, DType::kQ4_K, 6144, 4096, 512};
  const ChoiceKey first{ChoiceOp::kPrompt, DType::kQ4_K, 6144, 4096, 64};
  const ChoiceKey many{ChoiceOp::kDecodeMany, DType::kQ4_K, 6144, 4096, 64};
  const KernelChoices choices({{prompt, 128}, {many, 5}, {first, 64}, {prompt, 256}});
  const auto find = [&](ChoiceKey key, int64_t tokens) {
    key.tokens = tokens;
    return choices.find(key);
  };
  EXPECT_EQ(find(prompt, 512), 128) << "the first of two";
  EXPECT_EQ(find(prompt, 257), 128);
  EXPECT_EQ(find(prompt, 256), std::nullopt) << "a bucket without a row: the estimate";
  EXPECT_EQ(find(prompt, 513), std::nullopt);
  EXPECT_EQ(find(prompt, 1), 64);
  EXPECT_EQ(find(many, 33), 5);
  EXPECT_EQ(find(many, 32), std::nullopt);
  ChoiceKey other = prompt;
  other.cols = 4097;
  EXPECT_EQ(choices.find(other), std::nullopt);
  other = prompt;
  other.dtype = DType::kQ5_K;
  EXPECT_EQ(choices.find(other), std::nullopt);
  EXPECT_EQ(KernelChoices().find(prompt), std::nullopt);
}

TEST(KernelChoices, AreThoseOfOneKindOfDevice) {
  const auto rows = parse_choice_table(std::string(kMagic) +
                                       "sm_90/132 decode_step q8_0 8 8 1 0 1 2\n"
                                       "sm_90/114 decode_step q8_0 8 8 1 1 1 2\n");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  const ChoiceKey key{ChoiceOp::kDecodeStep, DType::kQ8_0, 8, 8, 1};
  EXPECT_EQ(choices_for(*rows, "sm_90/132").find(key), 0);
  EXPECT_EQ(choices_for(*rows, "sm_90/114").find(key), 1);
  EXPECT_TRUE(choices_for(*rows, "sm_80/108").all().empty());
}

}  // namespace
}  // namespace neuros::kernels
