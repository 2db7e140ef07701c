#pragma once

/// The arithmetic of kernels/llama_cpp/ on a GPU: the same order of sums, the same roundings. exp,
/// sin, cos and tanh are double's, rounded, which the C library's agree with but for a few in a
/// thousand of their last bits. For comparing answers, not for serving: a sum has one warp.
///
/// None of the kernels lets the next one start before it has ended: so what these read through the
/// first-level cache is never older than that.

#include "kernels/attention.h"
#include "kernels/gate_up.h"
#include "kernels/linear.h"
#include "kernels/logits.h"
#include "kernels/qkv_rope.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

#include <cstdint>
#include <span>

namespace neuros::kernels::cuda::llama_cpp {

void rms_norm(const OpContext& context, const RmsNormArgs& args);
void rope_table(const OpContext& context, const RopeTableArgs& args);
void linear(const OpContext& context, const LinearArgs& args);
void qkv_rope(const OpContext& context, const QkvRopeArgs& args);
void attention(const OpContext& context, const AttentionArgs& args);
void gate_up(const OpContext& context, const GateUpArgs& args);
void logits(const OpContext& context, const LogitsArgs& args);

/// Rows `rows` (the device's; null: all) of x, normed one behind the other.
void rms_norm_rows(const OpContext& context, const RmsNormArgs& args, const int32_t* rows);

/// The scratch of an op, taken from its start on.
class Scratch {
 public:
  explicit Scratch(const OpContext& context);
  /// What an op takes at most; the table's own ops work in the same place.
  static int64_t bytes(const OpLimits& limits);

  float* take(int64_t floats);

 private:
  std::span<std::byte> rest_;
};

}  // namespace neuros::kernels::cuda::llama_cpp
