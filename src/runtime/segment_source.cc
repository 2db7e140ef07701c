#include "runtime/segment_source.h"

#include "base/check.h"
#include "formats/packed_weights.h"
#include "runtime/host_packing.h"
#include "runtime/kept_weights.h"
#include "runtime/part_upload.h"
#include "runtime/weight_cache.h"

#include <algorithm>
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
    return bring_parts(places, target.ring, fill, [](size_t) { return base::Result<>(); });
  }

  WeightTier tier_;
  plan::Plan packed_;
  HostArena arena_;
};

/// The file stays open: who makes room in its folder takes nothing away.
class FileSegments final : public SegmentSource {
 public:
  FileSegments(std::string model, std::shared_ptr<const PackedWeightsFile> file)
      : model_(std::move(model)), file_(std::move(file)) {}

  WeightTier tier() const override { return WeightTier::kDisk; }

  base::Result<> read(int32_t segment, const SegmentTarget& target) override {
    auto read =
        read_packed_segment(*file_, static_cast<size_t>(segment), target.place, target.ring);
    if (read) return {};
    return tl::unexpected(base::with_context(std::move(read).error(), model_));
  }

 private:
  std::string model_;
  std::shared_ptr<const PackedWeightsFile> file_;
};

base::Result<HostArena> take_memory(const plan::Plan& plan, device::Device& device,
                                    SegmentSourceOptions& options) {
  if (!options.memory) options.memory = TRY(reserve_segments(plan, device, options.tier));
  CHECK(options.memory.has_value(), "a tier in the host's memory");
  return std::move(*options.memory);
}

PreparedSegments as_source(WeightTier tier, plan::Plan packed, HostArena arena) {
  LoadReport report = arena.report;
  return {std::make_unique<HostSegments>(tier, std::move(packed), std::move(arena)),
          std::move(report)};
}

base::Result<PreparedSegments> in_host_memory(const plan::Plan& plan,
                                              const formats::Checkpoint& checkpoint,
                                              const kernels::OpTable& ops, device::Device& device,
                                              SegmentSourceOptions options) {
  HostArena memory = TRY(take_memory(plan, device, options));
  plan::Plan packed = without_padding(plan);
  HostArena arena = TRY(pack_on_host(std::move(memory), packed, checkpoint, ops,
                                     {options.folder, options.on_progress}));
  return as_source(options.tier, std::move(packed), std::move(arena));
}

/// Packs the weights and writes them to where they are kept.
base::Result<LoadReport> write_kept(const KeptWeights& kept, const plan::Plan& packed,
                                    const formats::Checkpoint& checkpoint,
                                    const kernels::OpTable& ops,
                                    const SegmentSourceOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return base::fail(options.folder + ": " + error.message(), base::ErrorKind::kIo);
  HostArena empty = TRY(reserve_on_host(packed, nullptr));
  HostArena arena =
      TRY(pack_on_host(std::move(empty), packed, checkpoint, ops, {"", options.on_progress}));
  const Clock::time_point start = Clock::now();
  const std::unique_ptr<device::Stream> stream =
      TRY(arena.host->create_stream({.priority = device::StreamOptions::Priority::kLow}));
  TRY(write_packed_weights(kept.path, kept.label, packed,
                           {*arena.host, *stream, arena.memory.span()}, options.on_progress));
  arena.report.kept_as = kept.path;
  arena.report.keep_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return std::move(arena.report);
}

base::Result<PreparedSegments> read_to_host(const plan::Plan& plan, const PackedWeightsFile& file,
                                            device::Device& device, SegmentSourceOptions options) {
  HostArena memory = TRY(take_memory(plan, device, options));
  plan::Plan packed = without_padding(plan);
  HostArena arena = TRY(read_on_host(std::move(memory), packed, file, options.on_progress));
  return as_source(options.tier, std::move(packed), std::move(arena));
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
  return PreparedSegments{
      std::make_unique<FileSegments>(plan.model_path,
                                     std::make_shared<const PackedWeightsFile>(std::move(*file))),
      std::move(report)};
}

}  // namespace

base::Result<std::optional<HostArena>> reserve_segments(const plan::Plan& plan,
                                                        device::Device& device, WeightTier tier) {
  if (tier == WeightTier::kDisk) return std::nullopt;
  // A device whose memory is the host's has it for what it runs.
  const bool is_pinned = tier == WeightTier::kPinned && !device.memory_is_host();
  HostArena arena = TRY(reserve_on_host(without_padding(plan), is_pinned ? &device : nullptr));
  return std::optional<HostArena>(std::move(arena));
}

void LateSegmentSource::set(std::unique_ptr<SegmentSource> source) {
  CHECK(source_ == nullptr && source->tier() == tier_);
  source_ = std::move(source);
}

base::Result<> LateSegmentSource::read(int32_t segment, const SegmentTarget& target) {
  CHECK(source_ != nullptr, "segments that are not prepared");
  return source_->read(segment, target);
}

base::Result<PreparedSegments> prepare_packed_segments(
    const plan::Plan& plan, const std::shared_ptr<const PackedWeightsFile>& file,
    device::Device& device, SegmentSourceOptions options) {
  TRY(check_segments(*file, plan));
  if (options.tier != WeightTier::kDisk) {
    return read_to_host(plan, *file, device, std::move(options));
  }
  LoadReport report;
  report.from = LoadReport::From::kArtefact;
  report.path = file->file().path();
  report.direct = file->file().is_direct();
  return PreparedSegments{std::make_unique<FileSegments>(plan.model_path, file), std::move(report)};
}

base::Result<PreparedSegments> prepare_segments(const plan::Plan& plan,
                                                const formats::Checkpoint& checkpoint,
                                                const kernels::OpTable& ops, device::Device& device,
                                                SegmentSourceOptions options) {
  if (options.tier == WeightTier::kDisk) return on_disk(plan, checkpoint, ops, options);
  return in_host_memory(plan, checkpoint, ops, device, std::move(options));
}

}  // namespace neuros::runtime
