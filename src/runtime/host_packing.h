#pragma once

/// Packed weights in the host's memory, segment behind segment.

#include "base/direct_file.h"
#include "base/result.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/packed_weights_io.h"
#include "runtime/weight_loading.h"

#include <cstdint>
#include <memory>

namespace neuros::runtime {

/// The same weights with their segments back to back, as files and host memory have them. Of the
/// plan only what the weights need.
plan::Plan without_padding(const plan::Plan& plan);

struct HostArena {
  std::unique_ptr<device::Device> host;  ///< whose processors fill it; outlives the memory
  device::Buffer memory;
  LoadReport report;
};

/// Memory for all weights of `packed`, which has no padding. `pinned_for`: the device that copies
/// come from pinned memory for; null: pageable memory.
base::Result<HostArena> reserve_on_host(const plan::Plan& packed, device::Device* pinned_for);

/// Fills an arena that was reserved for `packed` with a checkpoint's weights, packed by `ops` on
/// the host's processors.
base::Result<HostArena> pack_on_host(HostArena arena, const plan::Plan& packed,
                                     const formats::Checkpoint& checkpoint,
                                     const kernels::OpTable& ops, const LoadOptions& options);

/// The same of weights that are packed already.
base::Result<HostArena> read_on_host(HostArena arena, const plan::Plan& packed,
                                     const PackedWeightsFile& file,
                                     const OnLoadProgress& on_progress);

/// Where in a file packed weights go.
struct PackedPlace {
  const base::DirectFile& file;
  uint64_t offset = 0;  ///< a multiple of formats::kPackedAlignment
};

/// Packs a checkpoint's weights and writes them there, packed_weights_file_bytes() in all; returns
/// the hash of their header.
base::Result<uint64_t> pack_to_file(const PackedPlace& place, const PackedWeightsLabel& label,
                                    const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                    const kernels::OpTable& ops, const OnLoadProgress& on_progress);

}  // namespace neuros::runtime
