#pragma once

/// From logits to one token, by the request's parameters.

#include "base/result.h"
#include "kernels/top_logits.h"
#include "pipeline/token_weights.h"

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace neuros::pipeline {

struct SamplingParams {
  float temperature = 1.0f;  ///< 0: greedy
  int32_t top_k = 0;         ///< 0: all
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;  ///< divides (multiplies negative) logits of tokens seen
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::map<int32_t, float> logit_bias{};  ///< added; -100 or less bans
  std::optional<uint64_t> seed{};
};

/// Checks ranges; the error names the field, the value and the range.
base::Result<> validate(const SamplingParams& params);

/// A candidate with its log-probability under the model, before penalties and temperature.
struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0.0f;
};

/// log softmax of one entry.
float logprob_of(std::span<const float> logits, int32_t id);
/// The `count` most likely tokens, best first, ties by lower id.
std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int32_t count);
/// The same from the greatest logits: of one that is among them; at most as many as there are.
float logprob_of(const kernels::TopLogits& logits, int32_t id);
std::vector<TokenLogprob> top_logprobs(const kernels::TopLogits& logits, int32_t count);

/// State of one generation: random numbers and the tokens seen so far.
class Sampler {
 public:
  /// Validated params. `prompt` counts for the repetition penalty.
  Sampler(SamplingParams params, std::span<const int32_t> prompt);

  /// The next token; overwrites `logits`. Remembers the choice for the penalties.
  int32_t sample(std::span<float> logits);
  /// The same token where the greatest logits decide it. nullopt: they do not; then the row's token
  /// is to be sampled from all its logits.
  std::optional<int32_t> sample(const kernels::TopLogits& logits);

 private:
  bool penalises() const;
  bool may_raise() const;
  float penalised(int32_t id, float logit) const;
  void penalise(std::span<float> logits) const;
  float weight(float logit, float top) const;
  bool is_cut(float weight) const { return weight < params_.min_p || weight == 0.0f; }
  int32_t draw(std::span<const float> logits);
  std::optional<int32_t> draw(const kernels::TopLogits& logits,
                              std::span<const kernels::TopLogit> penalised, float floor);
  double point();
  void remember(int32_t chosen);

  SamplingParams params_;
  std::map<int32_t, int32_t> generated_;  ///< count by token
  std::vector<bool> in_prompt_;
  std::mt19937_64 random_;
  std::optional<double> point_;  ///< drawn for the next token, not used yet
};

}  // namespace neuros::pipeline
