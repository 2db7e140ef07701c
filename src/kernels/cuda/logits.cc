#include "kernels/logits.h"

#include "kernels/cuda/decode.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/step_program.h"

namespace neuros::kernels::cuda {

/// By the decode kernels, whatever the rows are: one row's logits do not depend on whether its
/// sequence is in its prompt.
void logits(const OpContext& context, const LogitsArgs& args) {
  const auto rows = std::ssize(args.rows);
  const ActivationSource source{.x = args.x,
                                .norm_weight = args.norm_weight,
                                .epsilon = args.epsilon,
                                .rows = batch_of(context).logit_rows,
                                .tokens = rows,
                                .decode_tokens = rows,
                                .cols = args.head.cols};
  const LinearTask task{args.head, nullptr, nullptr, args.logits};
  if (StepProgram* step = step_program(context); step != nullptr && step->add(source, {&task, 1})) {
    return;
  }
  flush_pass(context);
  decode_tasks(context, source, {&task, 1}, op_scratch(context));
}

}  // namespace neuros::kernels::cuda
