#pragma once

/// The batch of one forward pass in device memory. It lies at the start of the scratch, at offsets
/// that depend on the limits only, so that recorded launches stay valid from pass to pass.

#include "kernels/batch_view.h"
#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cuda {

/// Passed to kernels by value.
struct DeviceBatch {
  const int32_t* ids = nullptr;              ///< [tokens]
  const int32_t* positions = nullptr;        ///< [tokens], in their sequence
  const int32_t* sequence_of_row = nullptr;  ///< [tokens]
  const int32_t* logit_rows = nullptr;       ///< [logit rows]
  const int32_t* first_row = nullptr;        ///< [sequences]
  const int32_t* rows = nullptr;             ///< [sequences]
  const int32_t* first_position = nullptr;   ///< [sequences]
  const int32_t* page_start = nullptr;       ///< [sequences]: where its pages start in `pages`
  const int32_t* pages = nullptr;            ///< page numbers of all sequences, one after another
};

/// Bytes that the batch takes of the scratch, a multiple of 256; and of the host's memory.
int64_t batch_bytes(const OpLimits& limits);

/// Where it is.
DeviceBatch batch_of(const OpContext& context);
/// Counts of blocks that meet, after the batch: zeros at boot and after a launch.
struct Meetings {
  uint32_t* of_rows = nullptr;   ///< of a product, [kMeetingsMax] (halves_plan.h)
  uint32_t* of_heads = nullptr;  ///< of decode attention, [sequences, heads]
  uint32_t* of_units = nullptr;  ///< of decode attention, one count (attention_units.cuh)
};
Meetings meetings_of(const OpContext& context);
int64_t meetings_bytes(const OpLimits& limits);
/// What passes keep from one to the next (step_program.h), after that: zeros at boot, and nobody
/// else's.
std::span<std::byte> pass_state(const OpContext& context);
int64_t pass_state_bytes(const OpLimits& limits);
/// The scratch after all that, which the ops of a pass share one after another.
std::span<std::byte> op_scratch(const OpContext& context);

/// StageBatchFn: one copy from context.host to the scratch.
void stage_batch(const OpContext& context, const BatchView& view);

}  // namespace neuros::kernels::cuda
