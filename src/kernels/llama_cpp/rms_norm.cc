#include "kernels/rms_norm.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels::llama_cpp {

void rms_norm(const OpContext& context, const RmsNormArgs& args) {
  ref::for_rows(context, args.tokens, [&](int64_t row, int) {
    const std::span x(args.x + row * args.cols, static_cast<size_t>(args.cols));
    rms_norm_row(x, args.weight, args.epsilon, args.out + row * args.cols);
  });
}

}  // namespace neuros::kernels::llama_cpp
