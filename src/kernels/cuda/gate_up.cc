#include "kernels/gate_up.h"

#include "base/check.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"

namespace neuros::kernels::cuda {

void gate_up(const OpContext& context, const GateUpArgs& args) {
  CHECK(args.gate.rows == args.up.rows && args.gate.cols == args.up.cols);
  const ActivationSource source{.x = args.x,
                                .norm_weight = args.norm_weight,
                                .epsilon = args.epsilon,
                                .rows = nullptr,
                                .tokens = args.tokens,
                                .decode_tokens = args.decode_tokens,
                                .cols = args.gate.cols};
  linear_swiglu(context, source, args.gate, args.up, args.out, op_scratch(context));
}

}  // namespace neuros::kernels::cuda
