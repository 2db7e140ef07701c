#include "pipeline/sampling.h"

#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

using testing::HasSubstr;

int32_t sample_once(SamplingParams params, std::vector<float> logits,
                    std::vector<int32_t> prompt = {}) {
  return Sampler(std::move(params), prompt).sample(logits);
}

std::map<int32_t, int> histogram(SamplingParams params, const std::vector<float>& logits) {
  params.seed = 1;
  std::map<int32_t, int> counts;
  Sampler sampler(params, {});
  for (int i = 0; i < 20000; ++i) {
    std::vector<float> copy = logits;
    ++counts[sampler.sample(copy)];
  }
  return counts;
}

TEST(Sampling, TemperatureZeroIsGreedyAndTakesTheLowestOfEqualIds) {
  EXPECT_EQ(sample_once({.temperature = 0.0f}, {1.0f, 3.0f, 3.0f, 2.0f}), 1);
}

TEST(Sampling, DrawsByProbability) {
  const auto counts = histogram({}, {std::log(0.7f), std::log(0.2f), std::log(0.1f)});
  EXPECT_NEAR(counts.at(0), 14000, 400);
  EXPECT_NEAR(counts.at(1), 4000, 300);
}

TEST(Sampling, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  EXPECT_EQ(histogram({.top_k = 2}, logits).size(), 2u);
  EXPECT_EQ(histogram({.top_p = 0.6f}, logits).size(), 2u);
  EXPECT_EQ(histogram({.top_p = 0.5f}, logits).size(), 1u);
  EXPECT_EQ(histogram({.min_p = 0.25f}, logits).size(), 3u);
  EXPECT_EQ(histogram({.top_p = 0.0f}, logits).size(), 1u);
}

TEST(Sampling, SameSeedSameTokens) {
  const std::vector<float> logits(50, 0.0f);
  std::vector<int32_t> first, second;
  for (std::vector<int32_t>* out : {&first, &second}) {
    Sampler sampler({.seed = 42}, {});
    for (int i = 0; i < 20; ++i) {
      std::vector<float> copy = logits;
      out->push_back(sampler.sample(copy));
    }
  }
  EXPECT_EQ(first, second);
}

TEST(Sampling, PenaltiesPushWhatWasSaid) {
  const std::vector<int32_t> prompt{0};
  EXPECT_EQ(sample_once({.temperature = 0.0f, .repetition_penalty = 2.0f}, {2.0f, 1.5f}, prompt),
            1);
  Sampler sampler({.temperature = 0.0f, .presence_penalty = 1.0f}, {});
  std::vector<float> logits{2.0f, 1.5f};
  EXPECT_EQ(sampler.sample(logits), 0);
  logits = {2.0f, 1.5f};
  EXPECT_EQ(sampler.sample(logits), 1);
}

TEST(Sampling, BiasMovesAndBans) {
  EXPECT_EQ(sample_once({.temperature = 0.0f, .logit_bias = {{1, 5.0f}}}, {2.0f, 0.0f}), 1);
  EXPECT_EQ(sample_once({.temperature = 0.0f, .logit_bias = {{0, -100.0f}}}, {200.0f, 0.0f}), 1);
}

TEST(Sampling, ValidationNamesTheField) {
  EXPECT_THAT(validate({.temperature = -1.0f}).error().message, HasSubstr("temperature"));
  EXPECT_THAT(validate({.top_p = 1.5f}).error().message, HasSubstr("top_p"));
  EXPECT_THAT(validate({.top_k = -2}).error().message, HasSubstr("top_k"));
  EXPECT_THAT(validate({.temperature = NAN}).error().message, HasSubstr("temperature"));
  EXPECT_TRUE(validate({}).has_value());
}

TEST(Logprobs, AreNormalised) {
  const std::vector<float> logits{1.0f, 2.0f, 3.0f};
  double sum = 0.0;
  for (int32_t id = 0; id < 3; ++id) sum += std::exp(static_cast<double>(logprob_of(logits, id)));
  EXPECT_NEAR(sum, 1.0, 1e-6);
  const auto top = top_logprobs(logits, 2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].id, 2);
  EXPECT_FLOAT_EQ(top[1].logprob, logprob_of(logits, 1));
  EXPECT_EQ(top_logprobs(logits, 20).size(), 3u);
}

}  // namespace
}  // namespace neuros::pipeline
