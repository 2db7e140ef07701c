#pragma once

/// Drawing a token by weight, also where only the likeliest tokens are known one by one.

#include "kernels/top_logits.h"

#include <cstdint>
#include <optional>
#include <span>

namespace neuros::pipeline {

/// A token that may be drawn, with exp((logit - greatest logit) / temperature).
struct TokenWeight {
  float weight = 0.0f;
  int32_t id = 0;
};

/// Heavier first, ties by lower id: one order on every machine.
bool likelier(const TokenWeight& a, const TokenWeight& b);

double sum_of(std::span<const TokenWeight> tokens);

/// What is known of a sum of weights.
struct MassBounds {
  double least = 0.0, most = 0.0;
};

/// The entry of `likeliest`, in order, that `point` in [0, 1) draws among the tokens whose weights
/// make up the share `top_p` of all; `others` is what all other tokens weigh. nullopt: not one of
/// `likeliest`, or the bounds do not tell which.
std::optional<size_t> draw_among(std::span<const TokenWeight> likeliest, MassBounds others,
                                 float top_p, double point);

/// Bounds of the weights, together, of the tokens that are not among the candidates; their logits
/// are at most `logits` says. `top` is the logit whose weight is 1.
MassBounds mass_beyond(const kernels::TopLogits& logits, float top, float temperature);

}  // namespace neuros::pipeline
