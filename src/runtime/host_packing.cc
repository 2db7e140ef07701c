#include "runtime/host_packing.h"

#include "device/cpu/cpu_device.h"

#include <string>
#include <utility>

namespace neuros::runtime {

base::Result<HostArena> reserve_on_host(const plan::Plan& packed, device::Device* pinned_for) {
  HostArena arena;
  arena.host = TRY(device::open_cpu_device({}));
  const auto bytes = static_cast<size_t>(packed.memory.weights);
  const std::string what = "packed weights of " + packed.model_path;
  arena.memory = pinned_for != nullptr ? TRY(pinned_for->reserve_host(bytes, what))
                                       : TRY(arena.host->reserve(bytes, what));
  return arena;
}

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

base::Result<HostArena> pack_on_host(HostArena arena, const plan::Plan& packed,
                                     const formats::Checkpoint& checkpoint,
                                     const kernels::OpTable& ops, const LoadOptions& options) {
  const std::unique_ptr<device::Stream> workers = TRY(arena.host->create_stream());
  const WeightTarget target{*arena.host, *workers, arena.memory.span()};
  arena.report = TRY(load_weights(packed, checkpoint, ops, target, options));
  return arena;
}

base::Result<HostArena> read_on_host(HostArena arena, const plan::Plan& packed,
                                     const PackedWeightsFile& file,
                                     const OnLoadProgress& on_progress) {
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
  HostArena empty = TRY(reserve_on_host(packed, nullptr));
  const HostArena arena =
      TRY(pack_on_host(std::move(empty), packed, checkpoint, ops, {"", on_progress}));
  const std::unique_ptr<device::Stream> stream =
      TRY(arena.host->create_stream({.priority = device::StreamOptions::Priority::kLow}));
  return write_packed_weights_at(place.file, place.offset, label, packed,
                                 {*arena.host, *stream, arena.memory.span()}, on_progress);
}

}  // namespace neuros::runtime
