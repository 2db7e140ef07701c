#include "runtime/host_packing.h"

#include "device/cpu/cpu_device.h"

#include <string>
#include <utility>

namespace neuros::runtime {
namespace {

/// Nothing in it yet.
base::Result<HostArena> reserve(const plan::Plan& packed, const std::string& what,
                                device::Device* pinned_for) {
  HostArena arena;
  arena.host = TRY(device::open_cpu_device({}));
  const auto bytes = static_cast<size_t>(packed.memory.weights);
  arena.memory = pinned_for != nullptr ? TRY(pinned_for->reserve_host(bytes, what))
                                       : TRY(arena.host->reserve(bytes, what));
  return arena;
}

}  // namespace

plan::Plan without_padding(const plan::Plan& plan) {
  plan::Plan packed;
  packed.model_path = plan.model_path;
  packed.op_table = plan.op_table;
  packed.segments = plan.segments;
  packed.weights = plan.weights;
  int64_t end = 0;
  for (plan::SegmentPlacement& segment : packed.segments) {
    segment.offset = end;
    end += segment.bytes;
  }
  for (plan::WeightPlacement& weight : packed.weights) {
    const auto segment = static_cast<size_t>(weight.segment);
    weight.offset += packed.segments[segment].offset - plan.segments[segment].offset;
  }
  packed.memory.weights = end;
  return packed;
}

base::Result<HostArena> pack_on_host(const plan::Plan& packed,
                                     const formats::Checkpoint& checkpoint,
                                     const kernels::OpTable& ops, device::Device* pinned_for,
                                     const LoadOptions& options) {
  HostArena arena = TRY(reserve(packed, "packed weights of " + checkpoint.path, pinned_for));
  const std::unique_ptr<device::Stream> workers = TRY(arena.host->create_stream());
  const WeightTarget target{*arena.host, *workers, arena.memory.span()};
  arena.report = TRY(load_weights(packed, checkpoint, ops, target, options));
  return arena;
}

base::Result<HostArena> read_on_host(const plan::Plan& packed, const PackedWeightsFile& file,
                                     device::Device* pinned_for,
                                     const OnLoadProgress& on_progress) {
  HostArena arena = TRY(reserve(packed, "packed weights of " + packed.model_path, pinned_for));
  const std::unique_ptr<device::Stream> workers = TRY(arena.host->create_stream());
  const WeightTarget target{*arena.host, *workers, arena.memory.span()};
  arena.report = TRY(load_packed_weights(packed, file, target, on_progress));
  return arena;
}

base::Result<uint64_t> pack_to_file(const PackedPlace& place, const PackedWeightsLabel& label,
                                    const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                    const kernels::OpTable& ops,
                                    const OnLoadProgress& on_progress) {
  const plan::Plan packed = without_padding(plan);
  const HostArena arena = TRY(pack_on_host(packed, checkpoint, ops, nullptr, {"", on_progress}));
  const std::unique_ptr<device::Stream> stream =
      TRY(arena.host->create_stream({.priority = device::StreamOptions::Priority::kLow}));
  return write_packed_weights_at(place.file, place.offset, label, packed,
                                 {*arena.host, *stream, arena.memory.span()}, on_progress);
}

}  // namespace neuros::runtime
