#pragma once

#include "kernels/cuda/activations.h"
#include "kernels/cuda/linear.h"

namespace neuros::kernels::cuda {

/// Launches the kernel that prepares a source's tokens into `out`, in device memory.
struct PrepareArgs {
  ActivationSource source;
  ActivationKind kind = ActivationKind::kQ8;
  PreparedActivations out;
};
void prepare(const OpContext& context, const PrepareArgs& args);

}  // namespace neuros::kernels::cuda
