#pragma once

#include "device/device.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels {

/// What every op runs with: where, and scratch memory reserved at boot (aligned to 64 bytes, at
/// least OpTable::scratch_bytes of the limits the plan was made for). Ops allocate nothing.
struct OpContext {
  device::Stream& stream;
  std::span<std::byte> scratch;
};

/// The largest sizes any call of a plan will have; decides scratch.
struct OpLimits {
  int64_t tokens = 0;     ///< rows of one batch
  int64_t sequences = 0;  ///< sequences of one batch
  int64_t cols = 0;       ///< widest input of a linear layer
  int64_t rows = 0;       ///< widest output of a linear layer, vocabulary included
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;  ///< positions of one sequence
  int workers = 1;      ///< workers of a CPU stream
};

}  // namespace neuros::kernels
