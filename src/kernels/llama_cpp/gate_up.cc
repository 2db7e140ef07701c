#include "kernels/gate_up.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/llama_cpp/vector_exp.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::llama_cpp {
namespace {

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
