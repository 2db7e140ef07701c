#include "kernels/gate_up.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/workspace.h"

#include <cmath>
#include <limits>

namespace neuros::kernels::llama_cpp {
namespace {

/// exp(x) by the polynomial of Arm's optimized routines (its vector expf), within 2 ulp.
float vector_exp(float x) {
  constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  constexpr float kRoundToInteger = 0x1.8p23f;
  const float n = std::fma(x, kLog2E, kRoundToInteger) - kRoundToInteger;
  if (std::abs(n) > 192.0f) return n < 0.0f ? 0.0f : std::numeric_limits<float>::infinity();
  const float b = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  const float square = b * b;
  const float low = std::fma(0x1.555e66p-3f, b, 0x1.fffdb6p-2f);
  const float high = std::fma(0x1.0e4020p-7f, b, 0x1.573e2ep-5f);
  const float linear = std::fma(0x1.ffffecp-1f, b, 1.0f);
  return std::ldexp(std::fma(std::fma(high, square, low), square, linear), static_cast<int>(n));
}

/// Element `row` of a vector of `rows`: whole groups of 16 go through the vector function.
float silu(float x, int64_t row, int64_t rows) {
  return x / (1.0f + (row < rows / 16 * 16 ? vector_exp(-x) : std::exp(-x)));
}

}  // namespace

void gate_up(const OpContext& context, const GateUpArgs& args) {
  const int64_t hidden = args.gate.cols, ffn = args.gate.rows;
  ref::Workspace workspace(context);
  const std::span normed = workspace.take<float>(args.tokens * hidden);
  const std::span up = workspace.take<float>(args.tokens * ffn);
  const OpContext rest{context.stream, workspace.rest()};
  rms_norm(rest, {args.x, args.norm_weight, normed.data(), args.tokens, hidden, args.epsilon});
  linear(rest, {.weight = args.gate, .x = normed.data(), .y = args.out, .tokens = args.tokens});
  linear(rest, {.weight = args.up, .x = normed.data(), .y = up.data(), .tokens = args.tokens});
  ref::for_rows(context, args.tokens, [&](int64_t token, int) {
    for (int64_t row = 0; row < ffn; ++row) {
      float& out = args.out[token * ffn + row];
      out = silu(out, row, ffn) * up[static_cast<size_t>(token * ffn + row)];
    }
  });
}

}  // namespace neuros::kernels::llama_cpp
