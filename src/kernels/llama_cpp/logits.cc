#include "kernels/logits.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels::llama_cpp {

void logits(const OpContext& context, const LogitsArgs& args) {
  const int64_t hidden = args.head.cols;
  ref::Workspace workspace(context);
  const std::span normed = workspace.take<float>(std::ssize(args.rows) * hidden);
  ref::for_rows(context, std::ssize(args.rows), [&](int64_t i, int) {
    const float* x = args.x + args.rows[static_cast<size_t>(i)] * hidden;
    rms_norm_row({x, static_cast<size_t>(hidden)}, args.norm_weight, args.epsilon,
                 normed.data() + i * hidden);
  });
  linear(
      {context.stream, workspace.rest()},
      {.weight = args.head, .x = normed.data(), .y = args.logits, .tokens = std::ssize(args.rows)});
}

}  // namespace neuros::kernels::llama_cpp
