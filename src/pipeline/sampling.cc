#include "pipeline/sampling.h"

#include "base/check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace neuros::pipeline {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

base::Result<> in_range(const char* field, float value, float least, float most) {
  if (value >= least && value <= most) return {};
  return base::fail(std::string(field) + ": " + std::to_string(value) + ", expected " +
                    std::to_string(least) + " to " + std::to_string(most));
}

/// log(sum(exp(logits))), in double.
double log_sum(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit - top));
  return static_cast<double>(top) + std::log(sum);
}

int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Higher logit first, ties by lower id: one order on every machine.
bool better(const std::pair<float, int32_t>& a, const std::pair<float, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

uint64_t fresh_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

base::Result<> validate(const SamplingParams& params) {
  constexpr float kInfinity = std::numeric_limits<float>::max();
  TRY(in_range("temperature", params.temperature, 0.0f, 100.0f));
  TRY(in_range("top_p", params.top_p, 0.0f, 1.0f));
  TRY(in_range("min_p", params.min_p, 0.0f, 1.0f));
  TRY(in_range("repetition_penalty", params.repetition_penalty, 1e-6f, kInfinity));
  TRY(in_range("presence_penalty", params.presence_penalty, -2.0f, 2.0f));
  TRY(in_range("frequency_penalty", params.frequency_penalty, -2.0f, 2.0f));
  if (params.top_k < 0) {
    return base::fail("top_k: " + std::to_string(params.top_k) + ", expected 0 (all) or more");
  }
  for (const auto& [id, bias] : params.logit_bias)
    TRY(in_range("logit_bias", bias, -100.0f, 100.0f));
  return {};
}

float logprob_of(std::span<const float> logits, int32_t id) {
  CHECK(id >= 0 && static_cast<size_t>(id) < logits.size());
  return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum(logits));
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int32_t count) {
  const double normaliser = log_sum(logits);
  std::vector<std::pair<float, int32_t>> order(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) order[i] = {logits[i], static_cast<int32_t>(i)};
  const auto wanted = static_cast<std::ptrdiff_t>(
      std::clamp<size_t>(static_cast<size_t>(std::max(count, 0)), 0, order.size()));
  std::partial_sort(order.begin(), order.begin() + wanted, order.end(), better);
  std::vector<TokenLogprob> best;
  for (std::ptrdiff_t i = 0; i < wanted; ++i) {
    const auto& [logit, id] = order[static_cast<size_t>(i)];
    best.push_back({id, static_cast<float>(static_cast<double>(logit) - normaliser)});
  }
  return best;
}

Sampler::Sampler(SamplingParams params, std::span<const int32_t> prompt)
    : params_(std::move(params)), random_(params_.seed ? *params_.seed : fresh_seed()) {
  for (int32_t id : prompt) {
    if (id < 0) continue;
    if (static_cast<size_t>(id) >= in_prompt_.size())
      in_prompt_.resize(static_cast<size_t>(id) + 1);
    in_prompt_[static_cast<size_t>(id)] = true;
  }
}

void Sampler::penalise(std::span<float> logits) const {
  const auto repeat = [&](size_t id) {
    float& logit = logits[id];
    logit = logit > 0.0f ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
  };
  if (params_.repetition_penalty != 1.0f) {
    for (size_t id = 0; id < std::min(in_prompt_.size(), logits.size()); ++id) {
      if (in_prompt_[id] && !generated_.contains(static_cast<int32_t>(id))) repeat(id);
    }
    for (const auto& [id, count] : generated_) repeat(static_cast<size_t>(id));
  }
  for (const auto& [id, count] : generated_) {
    logits[static_cast<size_t>(id)] -=
        params_.presence_penalty + params_.frequency_penalty * static_cast<float>(count);
  }
  for (const auto& [id, bias] : params_.logit_bias) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = bias <= -100.0f ? kBanned : logit + bias;
  }
}

int32_t Sampler::sample(std::span<float> logits) {
  penalise(logits);
  const int32_t chosen = params_.temperature == 0.0f ? argmax(logits) : draw(logits);
  ++generated_[chosen];
  return chosen;
}

/// Temperature first, then top-k, min-p and top-p on the tempered distribution.
int32_t Sampler::draw(std::span<float> logits) {
  const float top = logits[static_cast<size_t>(argmax(logits))];
  // As long as the vocabulary, so one for all processes: an engine samples on its own thread.
  static thread_local std::vector<std::pair<float, int32_t>> candidates;
  candidates.clear();
  double total = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float weight = std::exp((logits[i] - top) / params_.temperature);
    if (weight < params_.min_p || weight == 0.0f) continue;
    candidates.emplace_back(weight, static_cast<int32_t>(i));
  }
  size_t kept = candidates.size();
  if (params_.top_k > 0) kept = std::min(kept, static_cast<size_t>(params_.top_k));
  if (kept < candidates.size() || params_.top_p < 1.0f) {
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                      candidates.end(), better);
  }
  for (size_t i = 0; i < kept; ++i) total += static_cast<double>(candidates[i].first);
  if (params_.top_p < 1.0f) {
    double nucleus = 0.0;
    for (size_t i = 0; i < kept; ++i) {
      nucleus += static_cast<double>(candidates[i].first);
      if (nucleus >= static_cast<double>(params_.top_p) * total) kept = i + 1;
    }
    total = nucleus;
  }
  double point = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i < kept; ++i) {
    point -= static_cast<double>(candidates[i].first);
    if (point < 0.0) return candidates[i].second;
  }
  return candidates[kept - 1].second;
}

}  // namespace neuros::pipeline
