#pragma once

/// The convolution as a product, for what its own kernel does not do: other types of weights,
/// channels that do not divide into blocks, more columns than fit beside each other in shared
/// memory, cards before Hopper.

#include "kernels/conv1d_gelu.h"
#include "kernels/op_context.h"

#include <cstdint>

namespace neuros::kernels::cuda {

/// Rows of an output, [first, first + count).
struct ConvolutionRows {
  int64_t first = 0;
  int64_t count = 0;
};

/// out [count, taps * channels]: what each row is made of.
void gather_frames(const OpContext& context, const Conv1dGeluArgs& args, ConvolutionRows rows,
                   float* out);
/// From product [count, channels out], bias included, to y and its statistics.
void finish_convolution(const OpContext& context, const Conv1dGeluArgs& args, ConvolutionRows rows,
                        const float* product);

/// All of the op by Hopper's instructions. False: not for these shapes, this type or GPU.
bool conv1d_gelu_wgmma(const OpContext& context, const Conv1dGeluArgs& args);

}  // namespace neuros::kernels::cuda
