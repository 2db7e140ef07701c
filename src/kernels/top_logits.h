#pragma once

#include "kernels/op_context.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace neuros::kernels {

/// How many of a row's logits come to the host where they lie in a device's memory.
inline constexpr int32_t kTopLogits = 128;

struct TopLogit {
  float logit = 0.0f;
  int32_t id = 0;
};

/// What a choice of the next token mostly needs of a row of logits.
struct TopLogits {
  int32_t vocabulary = 0;                   ///< logits of the row
  float sum = 0.0f;                         ///< of exp(logit - best[0].logit) over all of them
  std::array<TopLogit, kTopLogits> best{};  ///< the greatest, in order; equal ones by lower id

  std::span<const TopLogit> candidates() const {
    return std::span(best).first(static_cast<size_t>(std::min(vocabulary, kTopLogits)));
  }
};

/// Exact: the logits and ids of every table are the reference's; `sum` is within 1e-5 of itself.
struct TopLogitsArgs {
  const float* logits = nullptr;  ///< [rows, vocabulary], as the op logits wrote them
  int64_t rows = 0;
  int64_t vocabulary = 0;
  TopLogits* out = nullptr;  ///< [rows], memory of the host that the device writes
};
using TopLogitsFn = void (*)(const OpContext&, const TopLogitsArgs&);

}  // namespace neuros::kernels
