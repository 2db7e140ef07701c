#pragma once

#include "device/device.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels {

/// The largest sizes any call of a plan will have; decides scratch.
struct OpLimits {
  int64_t tokens = 0;     ///< rows of one batch
  int64_t sequences = 0;  ///< sequences of one batch
  int64_t cols = 0;       ///< widest input of a linear layer
  int64_t rows = 0;       ///< widest output of a linear layer, vocabulary included
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;     ///< positions of one sequence
  int64_t logit_rows = 0;  ///< rows of one batch that get logits
  int workers = 1;         ///< workers of a CPU stream
};

class KernelChoices;

/// What a table keeps while it collects the ops of a pass (OpTable::run_pass).
class PassFusion {
 public:
  virtual ~PassFusion() = default;
};

/// What every op runs with: where, and memory reserved at boot for the limits the plan was made
/// for. Ops allocate nothing.
struct OpContext {
  device::Stream& stream;
  std::span<std::byte> scratch;  ///< of the device: OpTable::scratch_bytes, aligned to 64 bytes
  std::span<std::byte> host{};   ///< of the host: OpTable::host_bytes
  OpLimits limits{};
  PassFusion* fusion = nullptr;  ///< null: ops run when they are called
  /// How to run what a table could run in several ways (kernel_choices.h); null, and what is not in
  /// there: by the table's own estimates.
  const KernelChoices* choices = nullptr;
};

}  // namespace neuros::kernels
