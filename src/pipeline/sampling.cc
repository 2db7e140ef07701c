#include "pipeline/sampling.h"

#include "base/check.h"

#include <algorithm>
#include <array>
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
bool better(const kernels::TopLogit& a, const kernels::TopLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

double log_sum(const kernels::TopLogits& logits) {
  return static_cast<double>(logits.best[0].logit) + std::log(static_cast<double>(logits.sum));
}

/// What the tokens weigh that come after `last` in the order of likelihood.
double sum_after(std::span<const TokenWeight> tokens, const TokenWeight& last) {
  double sum = 0.0;
  for (const TokenWeight& token : tokens) {
    if (likelier(last, token)) sum += static_cast<double>(token.weight);
  }
  return sum;
}

/// The token after `last`, by id, on which `mass` of their weights falls.
int32_t draw_after(std::span<const TokenWeight> tokens, const TokenWeight& last, double mass) {
  int32_t drawn = last.id;
  for (const TokenWeight& token : tokens) {
    if (!likelier(last, token)) continue;
    drawn = token.id;
    mass -= static_cast<double>(token.weight);
    if (mass < 0.0) break;
  }
  return drawn;
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
  std::vector<kernels::TopLogit> order(logits.size());
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

float logprob_of(const kernels::TopLogits& logits, int32_t id) {
  const auto found = std::ranges::find(logits.candidates(), id, &kernels::TopLogit::id);
  CHECK(found != logits.candidates().end());
  return static_cast<float>(static_cast<double>(found->logit) - log_sum(logits));
}

std::vector<TokenLogprob> top_logprobs(const kernels::TopLogits& logits, int32_t count) {
  const std::span<const kernels::TopLogit> candidates = logits.candidates();
  const auto wanted = std::min(candidates.size(), static_cast<size_t>(std::max(count, 0)));
  std::vector<TokenLogprob> best;
  for (const auto& [logit, id] : candidates.first(wanted)) {
    best.push_back({id, static_cast<float>(static_cast<double>(logit) - log_sum(logits))});
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

bool Sampler::penalises() const {
  return params_.repetition_penalty != 1.0f || params_.presence_penalty != 0.0f ||
         params_.frequency_penalty != 0.0f || !params_.logit_bias.empty();
}

/// Whether a token that is not among the greatest logits may become one by its penalty or bias.
bool Sampler::may_raise() const {
  return params_.repetition_penalty < 1.0f || params_.presence_penalty < 0.0f ||
         params_.frequency_penalty < 0.0f ||
         std::ranges::any_of(params_.logit_bias, [](const auto& bias) { return bias.second > 0; });
}

float Sampler::penalised(int32_t id, float logit) const {
  const auto said = generated_.find(id);
  const bool was_generated = said != generated_.end();
  const auto index = static_cast<size_t>(id);
  if (was_generated || (index < in_prompt_.size() && in_prompt_[index])) {
    logit = logit > 0.0f ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
  }
  if (was_generated) {
    logit -=
        params_.presence_penalty + params_.frequency_penalty * static_cast<float>(said->second);
  }
  const auto bias = params_.logit_bias.find(id);
  if (bias == params_.logit_bias.end()) return logit;
  return bias->second <= -100.0f ? kBanned : logit + bias->second;
}

void Sampler::penalise(std::span<float> logits) const {
  const auto apply = [&](int32_t id) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) return;
    logits[static_cast<size_t>(id)] = penalised(id, logits[static_cast<size_t>(id)]);
  };
  const auto is_later = [&](int32_t id) {  // in one of the loops below
    return generated_.contains(id) || params_.logit_bias.contains(id);
  };
  if (params_.repetition_penalty != 1.0f) {
    for (size_t i = 0; i < in_prompt_.size(); ++i) {
      if (in_prompt_[i] && !is_later(static_cast<int32_t>(i))) apply(static_cast<int32_t>(i));
    }
  }
  for (const auto& [id, count] : generated_) apply(id);
  for (const auto& [id, bias] : params_.logit_bias) {
    if (!generated_.contains(id)) apply(id);
  }
}

int32_t Sampler::sample(std::span<float> logits) {
  penalise(logits);
  const int32_t chosen = params_.temperature == 0.0f ? argmax(logits) : draw(logits);
  remember(chosen);
  return chosen;
}

std::optional<int32_t> Sampler::sample(const kernels::TopLogits& logits) {
  if (may_raise()) return std::nullopt;
  const std::span<const kernels::TopLogit> raw = logits.candidates();
  std::array<kernels::TopLogit, kernels::kTopLogits> copy;
  const std::span candidates(copy.begin(), raw.size());
  std::ranges::copy(raw, candidates.begin());
  for (auto& [logit, id] : candidates) logit = penalised(id, logit);
  // No other token's logit is above the floor, whatever its penalty.
  const bool all_known = static_cast<size_t>(logits.vocabulary) == raw.size();
  const float floor = all_known ? kBanned : raw.back().logit;
  const kernels::TopLogit& best = *std::ranges::min_element(candidates, better);
  if (!(best.logit > floor)) return std::nullopt;
  const auto chosen = params_.temperature == 0.0f ? best.id : draw(logits, candidates, floor);
  if (chosen) remember(*chosen);
  return chosen;
}

void Sampler::remember(int32_t chosen) {
  ++generated_[chosen];
  point_.reset();
}

/// The same until a token is chosen, so that both ways to sample give the same.
double Sampler::point() {
  if (!point_) point_ = static_cast<double>(random_() >> 11) * 0x1p-53;
  return *point_;
}

float Sampler::weight(float logit, float top) const {
  return std::exp((logit - top) / params_.temperature);
}

/// Temperature first, then top-k, min-p and top-p on the tempered distribution. The likeliest are
/// put in order; more of them only where those do not decide.
int32_t Sampler::draw(std::span<const float> logits) {
  const float top = logits[static_cast<size_t>(argmax(logits))];
  // As long as the vocabulary, so one for all processes: an engine samples on its own thread.
  static thread_local std::vector<TokenWeight> all, likeliest;
  all.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const float w = weight(logits[i], top);
    if (!is_cut(w)) all.push_back({w, static_cast<int32_t>(i)});
  }
  const bool some = params_.top_k > 0 && static_cast<size_t>(params_.top_k) < all.size();
  const size_t kept = some ? static_cast<size_t>(params_.top_k) : all.size();
  size_t count = some ? kept : std::min(kept, static_cast<size_t>(kernels::kTopLogits));
  for (;; count = std::min(kept, 8 * count)) {
    likeliest.resize(count);
    std::partial_sort_copy(all.begin(), all.end(), likeliest.begin(), likeliest.end(), likelier);
    const double others = count == kept ? 0.0 : sum_after(all, likeliest.back());
    const auto drawn = draw_among(likeliest, {others, others}, params_.top_p, point());
    if (drawn) return likeliest[*drawn].id;
    if (count == kept) return likeliest.back().id;
    if (params_.top_p >= 1.0f) {
      const double known = sum_of(likeliest);
      return draw_after(all, likeliest.back(), point() * (known + others) - known);
    }
  }
}

/// The same from the candidates with their penalties, and from bounds of what all others weigh.
std::optional<int32_t> Sampler::draw(const kernels::TopLogits& logits,
                                     std::span<const kernels::TopLogit> penalised, float floor) {
  const float top = std::ranges::min_element(penalised, better)->logit;
  const float floor_weight = weight(floor, top);
  static thread_local std::vector<TokenWeight> known;
  known.clear();
  double sunk = 0.0;  // candidates that penalties brought among the others
  for (const auto& [logit, id] : penalised) {
    const float w = weight(logit, top);
    if (is_cut(w)) continue;
    if (w > floor_weight) {
      known.push_back({w, id});
    } else {
      sunk += static_cast<double>(w);
    }
  }
  std::ranges::sort(known, likelier);
  const auto top_k = static_cast<size_t>(params_.top_k);
  MassBounds others;
  if (top_k > 0 && top_k <= known.size()) {
    known.resize(top_k);
  } else if (!is_cut(floor_weight)) {
    const MassBounds beyond = mass_beyond(logits, top, params_.temperature);
    const bool all_stay = !penalises() && top_k == 0 && params_.min_p == 0.0f;
    others = {all_stay ? sunk + beyond.least : 0.0, sunk + beyond.most};
  }
  const auto drawn = draw_among(known, others, params_.top_p, point());
  if (!drawn) return std::nullopt;
  return known[*drawn].id;
}

}  // namespace neuros::pipeline
