#include "kernels/gate_up.h"

#include "base/check.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/op_pairs.h"

namespace neuros::kernels::cuda {

void gate_up(const OpContext& context, const GateUpArgs& args) {
  CHECK(args.gate.rows == args.up.rows && args.gate.cols == args.up.cols);
  if (OpPairs* pairs = op_pairs(context); pairs != nullptr && pairs->add(args)) return;
  linear_swiglu(context, source_of(args), args.gate, args.up, args.out, op_scratch(context));
}

}  // namespace neuros::kernels::cuda
