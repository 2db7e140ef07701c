#include "pipeline/token_weights.h"

#include <algorithm>
#include <cmath>

namespace neuros::pipeline {
namespace {

/// The first entry at which the running sum `reaches(sum)`.
template <typename Reaches>
std::optional<size_t> first_where(std::span<const TokenWeight> tokens, Reaches reaches) {
  double sum = 0.0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    sum += static_cast<double>(tokens[i].weight);
    if (reaches(sum)) return i;
  }
  return std::nullopt;
}

/// How much of every sum of weights may be rounding, the device's floats included.
constexpr double kRounding = 2e-5;

}  // namespace

double sum_of(std::span<const TokenWeight> tokens) {
  double sum = 0.0;
  for (const TokenWeight& token : tokens) sum += static_cast<double>(token.weight);
  return sum;
}

bool likelier(const TokenWeight& a, const TokenWeight& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

std::optional<size_t> draw_among(std::span<const TokenWeight> likeliest, MassBounds others,
                                 float top_p, double point) {
  const double known = sum_of(likeliest);
  MassBounds total{known + others.least, known + others.most};
  if (top_p < 1.0f) {
    const auto nucleus_end = [&](double mass) {
      return first_where(likeliest, [&](double sum) { return sum >= top_p * mass; });
    };
    const auto end = nucleus_end(total.least);
    if (!end || end != nucleus_end(total.most)) return std::nullopt;
    likeliest = likeliest.first(*end + 1);
    total.least = total.most = sum_of(likeliest);
  }
  const auto drawn_of = [&](double mass) {
    return first_where(likeliest, [&](double sum) { return sum > point * mass; });
  };
  const auto drawn = drawn_of(total.least);
  return drawn == drawn_of(total.most) ? drawn : std::nullopt;
}

/// With x = exp(logit - best) of a token beyond the candidates, whose sum is known and none of
/// which is above f, the least candidate's: x^p = x x^(p-1), and x^(p-1) is on one side of f^(p-1);
/// and the mean of x^p is on the other side of (the mean of x)^p. p is 1 / temperature.
MassBounds mass_beyond(const kernels::TopLogits& logits, float top, float temperature) {
  const std::span<const kernels::TopLogit> candidates = logits.candidates();
  const double count = logits.vocabulary - static_cast<double>(candidates.size());
  if (count == 0.0) return {};
  const double best = candidates.front().logit, power = 1.0 / temperature;
  double sum = logits.sum;
  for (const kernels::TopLogit& candidate : candidates) sum -= std::exp(candidate.logit - best);
  const double rounding = kRounding * logits.sum;
  const double least_sum = std::max(sum - rounding, 0.0), most_sum = std::max(sum, 0.0) + rounding;
  const double most = std::exp(candidates.back().logit - best);
  const auto by_most = [&](double s) { return s * std::pow(most, power - 1.0); };
  const auto by_mean = [&](double s) { return count * std::pow(s / count, power); };
  const double scale = std::exp((best - top) * power);
  return {scale * (1.0 - kRounding) * std::min(by_most(least_sum), by_mean(least_sum)),
          scale * (1.0 + kRounding) * std::max(by_most(most_sum), by_mean(most_sum))};
}

}  // namespace neuros::pipeline
