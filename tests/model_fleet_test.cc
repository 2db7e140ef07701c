/// A model that boot quantises is the model that `neuros convert` makes, to the bit; models of one
/// file are one.

#include "pipeline/model_fleet.h"

#include "builder/convert.h"
#include "builder/synth.h"
#include "pipeline/forced_logits.h"

#include <cstdio>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using Rows = std::vector<std::vector<float>>;

pipeline::ModelOptions options() {
  pipeline::ModelOptions options;
  options.threads = 2;
  options.memory_bytes = size_t{256} << 20;
  options.context = 128;
  return options;
}

std::unique_ptr<pipeline::ModelFleet> open(const std::string& path,
                                           std::vector<std::string> precision,
                                           const pipeline::ModelOptions& options) {
  auto fleet = pipeline::ModelFleet::open(
      {{.path = path, .terms = {.precision = std::move(precision)}}}, options);
  EXPECT_TRUE(fleet.has_value()) << fleet.error().message;
  return fleet ? std::move(*fleet) : nullptr;
}

Rows logits_of(pipeline::ModelFleet& fleet) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 40; ++i) ids.push_back(i * 37 % 250);
  auto rows = pipeline::forced_logits(fleet.fleet().engine(0), ids, 30);
  EXPECT_TRUE(rows.has_value());
  return rows ? std::move(*rows) : Rows();
}

class Precision : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "precision_" + GetParam();
    ASSERT_TRUE(builder::synthesise("llama-tiny:bf16", path(), {}).has_value());
  }
  void TearDown() override {
    std::remove(path().c_str());
    std::remove(converted().c_str());
  }
  std::string path() const { return folder_ + ".gguf"; }
  std::string converted() const { return folder_ + "_converted.gguf"; }

 private:
  std::string folder_;
};

TEST_P(Precision, OfBootIsThatOfAConversion) {
  ASSERT_TRUE(builder::convert(path(), converted(), GetParam(), {}).has_value());
  const auto from_floats = open(path(), {GetParam()}, options());
  const auto from_file = open(converted(), {}, options());
  ASSERT_TRUE(from_floats && from_file);
  EXPECT_EQ(from_floats->plan().models[0].memory.weights,
            from_file->plan().models[0].memory.weights);
  EXPECT_TRUE(logits_of(*from_floats) == logits_of(*from_file)) << "logits differ";
}

INSTANTIATE_TEST_SUITE_P(Types, Precision, ::testing::Values("q8_0", "q4_k_m", "q6_k", "tq2_0"));

TEST(PrecisionOfAFile, ThatItsAuthorChoseIsKept) {
  const std::string path = ::testing::TempDir() + "precision_published.gguf";
  ASSERT_TRUE(builder::synthesise("llama-tiny:q4_k_m", path, {}).has_value());
  const auto fleet = open(path, {"q8_0", "tq2_0"}, options());
  ASSERT_TRUE(fleet);
  EXPECT_THAT(fleet->plan().models[0].reasons, Contains(HasSubstr("quantised by their author")));
  for (const plan::WeightPlacement& weight : fleet->plan().models[0].weights) {
    EXPECT_FALSE(weight.is_quantised_at_boot()) << weight.name;
  }
  std::remove(path.c_str());
}

TEST(ModelsOfOneFile, AreOneModelWithTwoNames) {
  const std::string path = ::testing::TempDir() + "two_names.gguf";
  ASSERT_TRUE(builder::synthesise("llama-tiny:q8_0", path, {}).has_value());
  const auto fleet = pipeline::ModelFleet::open(
      {{.path = path, .name = "a"}, {.path = path, .name = "b"}}, options());
  ASSERT_TRUE(fleet.has_value()) << fleet.error().message;
  const auto& models = (*fleet)->models();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ((*fleet)->plan().models.size(), 1U);
  EXPECT_EQ((*fleet)->plan().allocations[0].id, "a, b");
  EXPECT_EQ(models[0]->id(), "a");
  EXPECT_EQ(models[1]->id(), "b");
  EXPECT_EQ(&models[0]->engine(), &models[1]->engine());
  EXPECT_EQ(&models[0]->tokenizer(), &models[1]->tokenizer());
  EXPECT_EQ(models[1]->chat_template_source(), models[0]->chat_template_source());
  const auto twice = pipeline::ModelFleet::open(
      {{.path = path, .name = "a"}, {.path = path, .name = "a"}}, options());
  EXPECT_THAT(twice.error().message, HasSubstr("a second model with the id a"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace neuros
