#include "kernels/conv1d_gelu.h"

#include "base/check.h"
#include "kernels/cuda/conv1d_gelu_rows.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"
#include "kernels/cuda/prefill.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int64_t kRowsMin = 16;
constexpr int64_t kRowsMax = 4096;

/// The scratch of some rows: gathered, multiplied, and what the product needs.
struct Parts {
  int64_t gathered, product, all;

  explicit Parts(const OpLimits& limits)
      : gathered(aligned(limits.tokens * limits.cols * 4)),
        product(aligned(limits.tokens * limits.rows * 4)),
        all(gathered + product + prefill_scratch_bytes(limits)) {}

  static int64_t aligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }
};

void by_rows(const OpContext& context, const Conv1dGeluArgs& args) {
  const std::span<std::byte> scratch = op_scratch(context);
  OpLimits limits{.tokens = kRowsMax, .cols = args.weight.cols, .rows = args.weight.rows};
  while (limits.tokens > kRowsMin && Parts(limits).all > std::ssize(scratch)) limits.tokens /= 2;
  const Parts parts(limits);
  CHECK(parts.all <= std::ssize(scratch), "scratch of conv1d_gelu");
  auto* gathered = reinterpret_cast<float*>(scratch.data());
  auto* product = reinterpret_cast<float*>(scratch.data() + parts.gathered);
  const auto rest = scratch.subspan(static_cast<size_t>(parts.gathered + parts.product));
  for (int64_t first = 0; first < args.rows(); first += limits.tokens) {
    const ConvolutionRows rows{first, std::min(limits.tokens, args.rows() - first)};
    gather_frames(context, args, rows, gathered);
    const LinearTask task{.weight = args.weight, .bias = args.bias, .y = product};
    prefill_tasks(context, {.x = gathered, .tokens = rows.count, .cols = args.weight.cols},
                  {&task, 1}, rest);
    finish_convolution(context, args, rows, product);
  }
}

}  // namespace

void conv1d_gelu(const OpContext& context, const Conv1dGeluArgs& args) {
  flush_pass(context);
  CHECK(args.weight.cols == int64_t{args.taps} * args.channels);
  if (args.rows() == 0) return;
  if (!conv1d_gelu_wgmma(context, args)) by_rows(context, args);
}

int64_t conv1d_gelu_scratch_bytes(const OpLimits& limits) {
  OpLimits few = limits;
  few.tokens = kRowsMin;
  return Parts(few).all;
}

}  // namespace neuros::kernels::cuda
