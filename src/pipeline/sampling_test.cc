#include "pipeline/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>

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

/// As a device gives them, whose sums are floats in another order.
kernels::TopLogits top_of(const std::vector<float>& logits) {
  kernels::TopLogits top{.vocabulary = static_cast<int32_t>(logits.size())};
  std::vector<kernels::TopLogit> order;
  for (const float logit : logits) order.push_back({logit, static_cast<int32_t>(order.size())});
  std::ranges::stable_sort(order, std::greater<>(), &kernels::TopLogit::logit);
  std::copy_n(order.begin(), top.candidates().size(), top.best.begin());
  for (const float logit : logits) top.sum += std::exp(logit - order[0].logit);
  return top;
}

std::vector<float> random_logits(std::mt19937& random, size_t count, float size) {
  std::normal_distribution<float> draw(0.0f, size);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = draw(random);
  return logits;
}

/// How often the greatest logits decide, over `steps` tokens; every decision must be the one that
/// all logits give.
int count_decided(const SamplingParams& params, float size, int steps) {
  std::mt19937 random(7);
  const std::vector<int32_t> prompt{1, 2, 3, 500, 700};
  Sampler by_top(params, prompt), by_all(params, prompt);
  int decided = 0;
  for (int i = 0; i < steps; ++i) {
    std::vector<float> logits = random_logits(random, i % 5 == 0 ? 100 : 3000, size);
    if (i % 3 == 0) logits[static_cast<size_t>(i % 100)] += 4 * size;
    std::vector<float> copy = logits;
    const int32_t wanted = by_all.sample(copy);
    const auto found = by_top.sample(top_of(logits));
    decided += found ? 1 : 0;
    EXPECT_EQ(found ? *found : by_top.sample(logits), wanted) << "step " << i;
  }
  return decided;
}

TEST(TopLogits, GiveTheSameTokenOrNone) {
  for (const float size : {0.01f, 1.0f, 3.0f, 12.0f}) {
    for (const float temperature : {0.0f, 0.3f, 0.8f, 1.0f, 1.7f}) {
      for (SamplingParams params :
           std::vector<SamplingParams>{{},
                                       {.top_k = 20},
                                       {.top_k = 300, .top_p = 0.9f},
                                       {.top_p = 0.95f},
                                       {.top_p = 0.3f, .min_p = 0.05f},
                                       {.min_p = 0.2f, .repetition_penalty = 1.3f},
                                       {.top_p = 0.9f, .repetition_penalty = 0.7f},
                                       {.presence_penalty = 1.5f, .frequency_penalty = 0.5f},
                                       {.top_k = 5, .logit_bias = {{1, -100.0f}, {2, -3.0f}}},
                                       {.top_p = 0.8f, .logit_bias = {{1000, 9.0f}}}}) {
        params.temperature = temperature;
        params.seed = 3;
        SCOPED_TRACE("size " + std::to_string(size) + ", temperature " +
                     std::to_string(temperature) + ", top_k " + std::to_string(params.top_k));
        count_decided(params, size, 60);
      }
    }
  }
}

TEST(TopLogits, DecideWhatIsAskedForMost) {
  EXPECT_EQ(count_decided({.temperature = 0.0f}, 2.0f, 100), 100);
  EXPECT_EQ(count_decided({.temperature = 0.0f, .repetition_penalty = 1.1f}, 2.0f, 100), 100);
  EXPECT_EQ(count_decided({.temperature = 0.6f, .top_k = 20, .top_p = 0.95f, .seed = 1}, 2.0f, 100),
            100);
  EXPECT_GE(count_decided({.temperature = 0.6f, .top_p = 0.9f, .seed = 1}, 4.0f, 100), 90);
  EXPECT_GE(count_decided({.temperature = 1.0f, .seed = 1}, 4.0f, 100), 80);
}

TEST(TopLogits, LeaveWhatTheyCannotKnow) {
  EXPECT_LE(count_decided({.temperature = 1.0f, .seed = 1}, 0.1f, 100), 40);
  EXPECT_EQ(count_decided({.temperature = 0.0f, .logit_bias = {{1000, 9.0f}}}, 2.0f, 100), 0);
}

TEST(TopLogits, GiveTheSameLogprobs) {
  std::mt19937 random(1);
  const std::vector<float> logits = random_logits(random, 3000, 2.0f);
  const kernels::TopLogits top = top_of(logits);
  const auto all = top_logprobs(logits, 20), some = top_logprobs(top, 20);
  ASSERT_EQ(some.size(), 20u);
  for (size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(some[i].id, all[i].id);
    EXPECT_NEAR(some[i].logprob, all[i].logprob, 1e-5);
    EXPECT_EQ(logprob_of(top, some[i].id), some[i].logprob);
  }
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
