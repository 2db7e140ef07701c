#include "runtime/segment_source.h"

#include "device/cpu/cpu_device.h"
#include "formats/packed_weights.h"
#include "runtime/kept_weights.h"
#include "runtime/part_upload.h"
#include "runtime/weight_cache.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace neuros::runtime {
namespace {

using Clock = std::chrono::steady_clock;

/// The same weights with their segments back to back, as files and host memory have them.
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

/// Packed weights in the host's memory.
struct HostArena {
  std::unique_ptr<device::Device> host;  ///< null: the memory is another device's
  device::Buffer memory;                 ///< before its device
  LoadReport report;
};

/// `pinned_for`: the device that copies come from pinned memory for; null: pageable memory.
base::Result<HostArena> pack_on_host(const plan::Plan& packed,
                                     const formats::Checkpoint& checkpoint,
                                     const kernels::OpTable& ops, device::Device* pinned_for,
                                     const LoadOptions& options) {
  HostArena arena;
  arena.host = TRY(device::open_cpu_device({}));
  const auto bytes = static_cast<size_t>(packed.memory.weights);
  const std::string what = "packed weights of " + checkpoint.path;
  arena.memory = pinned_for != nullptr ? TRY(pinned_for->reserve_host(bytes, what))
                                       : TRY(arena.host->reserve(bytes, what));
  const std::unique_ptr<device::Stream> workers = TRY(arena.host->create_stream());
  const WeightTarget target{*arena.host, *workers, arena.memory.span()};
  arena.report = TRY(load_weights(packed, checkpoint, ops, target, options));
  return arena;
}

class HostSegments final : public SegmentSource {
 public:
  HostSegments(WeightTier tier, plan::Plan packed, HostArena arena)
      : tier_(tier), packed_(std::move(packed)), arena_(std::move(arena)) {}

  WeightTier tier() const override { return tier_; }

  base::Result<> read(int32_t segment, const SegmentTarget& target) override {
    const plan::SegmentPlacement& place = packed_.segments[static_cast<size_t>(segment)];
    const std::span<const std::byte> bytes = arena_.memory.span().subspan(
        static_cast<size_t>(place.offset), static_cast<size_t>(place.bytes));
    if (tier_ == WeightTier::kPageable && target.ring != nullptr) return by_ring(bytes, target);
    target.stream.copy(target.place, bytes.data(), bytes.size());
    return {};
  }

 private:
  static base::Result<> by_ring(std::span<const std::byte> bytes, const SegmentTarget& target) {
    const size_t part_bytes = target.ring->part_bytes();
    std::vector<std::span<std::byte>> places;
    for (size_t done = 0; done < bytes.size(); done += part_bytes) {
      places.emplace_back(target.place + done, std::min(part_bytes, bytes.size() - done));
    }
    const auto fill = [&](size_t part, std::span<std::byte> memory) {
      std::memcpy(memory.data(), bytes.data() + part * part_bytes, memory.size());
      return base::Result<>();
    };
    return bring_parts(places, target.ring, fill, [](size_t) {});
  }

  WeightTier tier_;
  plan::Plan packed_;
  HostArena arena_;
};

/// The file stays open: who makes room in its folder takes nothing away.
class FileSegments final : public SegmentSource {
 public:
  FileSegments(std::string model, PackedWeightsFile file)
      : model_(std::move(model)), file_(std::move(file)) {}

  WeightTier tier() const override { return WeightTier::kDisk; }

  base::Result<> read(int32_t segment, const SegmentTarget& target) override {
    auto read = read_packed_segment(file_, static_cast<size_t>(segment), target.place, target.ring);
    if (read) return {};
    return tl::unexpected(base::with_context(std::move(read).error(), model_));
  }

 private:
  std::string model_;
  PackedWeightsFile file_;
};

base::Result<PreparedSegments> in_host_memory(const plan::Plan& plan,
                                              const formats::Checkpoint& checkpoint,
                                              const kernels::OpTable& ops, device::Device& device,
                                              const SegmentSourceOptions& options) {
  // A device whose memory is the host's has it for what it runs.
  const bool is_pinned = options.tier == WeightTier::kPinned && !device.memory_is_host();
  plan::Plan packed = without_padding(plan);
  HostArena arena = TRY(pack_on_host(packed, checkpoint, ops, is_pinned ? &device : nullptr,
                                     {options.folder, options.on_progress}));
  LoadReport report = arena.report;
  return PreparedSegments{
      std::make_unique<HostSegments>(options.tier, std::move(packed), std::move(arena)),
      std::move(report)};
}

/// Packs the weights and writes them to where they are kept.
base::Result<LoadReport> write_kept(const KeptWeights& kept, const plan::Plan& packed,
                                    const formats::Checkpoint& checkpoint,
                                    const kernels::OpTable& ops,
                                    const SegmentSourceOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return base::fail(options.folder + ": " + error.message(), base::ErrorKind::kIo);
  HostArena arena = TRY(pack_on_host(packed, checkpoint, ops, nullptr, {"", options.on_progress}));
  const Clock::time_point start = Clock::now();
  const std::unique_ptr<device::Stream> stream =
      TRY(arena.host->create_stream({.priority = device::StreamOptions::Priority::kLow}));
  TRY(write_packed_weights(kept.path, kept.label, packed,
                           {*arena.host, *stream, arena.memory.span()}, options.on_progress));
  arena.report.kept_as = kept.path;
  arena.report.keep_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return std::move(arena.report);
}

base::Result<PreparedSegments> on_disk(const plan::Plan& plan,
                                       const formats::Checkpoint& checkpoint,
                                       const kernels::OpTable& ops,
                                       const SegmentSourceOptions& options) {
  const plan::Plan packed = without_padding(plan);
  const KeptWeights kept = TRY(KeptWeights::find(packed, checkpoint, ops, options.folder));
  LoadReport report;
  auto file = kept.open(packed);
  if (file) {
    report.from = LoadReport::From::kCache;
    report.path = kept.path;
    WeightCache::touch(kept.path);
  } else {
    const base::Error error = std::move(file).error();
    report = TRY(write_kept(kept, packed, checkpoint, ops, options));
    if (error.kind != base::ErrorKind::kNotFound) {
      report.warnings.push_back(error.message + "; the weights are packed again");
    }
    file = kept.open(packed);
    if (!file) return tl::unexpected(std::move(file).error());
  }
  report.direct = file->file().is_direct();
  return PreparedSegments{std::make_unique<FileSegments>(plan.model_path, std::move(*file)),
                          std::move(report)};
}

}  // namespace

std::string_view name(WeightTier tier) {
  constexpr std::array<std::string_view, kWeightTiers> kNames{"pinned", "pageable", "disk"};
  return kNames[static_cast<size_t>(tier)];
}

base::Result<PreparedSegments> prepare_segments(const plan::Plan& plan,
                                                const formats::Checkpoint& checkpoint,
                                                const kernels::OpTable& ops, device::Device& device,
                                                const SegmentSourceOptions& options) {
  if (options.tier == WeightTier::kDisk) return on_disk(plan, checkpoint, ops, options);
  return in_host_memory(plan, checkpoint, ops, device, options);
}

}  // namespace neuros::runtime
