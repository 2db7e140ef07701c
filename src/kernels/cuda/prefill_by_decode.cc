/// Prompt rows by the decode kernels.

#include "kernels/cuda/decode.h"
#include "kernels/cuda/prefill.h"

namespace neuros::kernels::cuda {

void prefill_tasks(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask> tasks, std::span<std::byte> scratch) {
  decode_tasks(context, source, tasks, scratch);
}

void prefill_swiglu(const OpContext& context, const ActivationSource& source,
                    const PackedMatrix& gate, const PackedMatrix& up, float* out,
                    std::span<std::byte> scratch) {
  decode_swiglu(context, source, gate, up, out, scratch);
}

int64_t prefill_scratch_bytes(const OpLimits& limits) {
  return decode_scratch_bytes(limits);
}

}  // namespace neuros::kernels::cuda
