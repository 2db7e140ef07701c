#pragma once

/// The tiers below the device: where a model's packed weights come from, segment by segment.

#include "base/result.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/fleet_plan.h"
#include "runtime/host_packing.h"
#include "runtime/packed_weights_io.h"
#include "runtime/upload_ring.h"
#include "runtime/weight_loading.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace neuros::runtime {

using WeightTier = plan::Home;
inline constexpr size_t kWeightTiers = plan::kHomeNames.size();

/// Where a segment goes.
struct SegmentTarget {
  std::byte* place = nullptr;  ///< of the device, with room for the segment
  device::Stream& stream;
  /// The stream's, of parts of formats::kPackedPartBytes; null where the device's memory is the
  /// host's too.
  UploadRing* ring = nullptr;
};

/// One model's segments as the plan has them. One thread at a time may read.
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  virtual WeightTier tier() const = 0;
  /// Brings a segment to its place. It is there when all is done that the stream was given, which
  /// may be later than this returns. After an error, which names model and segment, copies may be
  /// on their way too, and the place holds anything.
  virtual base::Result<> read(int32_t segment, const SegmentTarget& target) = 0;
};

struct SegmentSourceOptions {
  WeightTier tier = WeightTier::kPinned;
  /// kDisk: of files of packed weights, one of which is made where it is not there yet. Other
  /// tiers: the weight cache; "": none.
  std::string folder;
  OnLoadProgress on_progress;
  /// Of the tier, for the weights of the plan; none: it is reserved as they are prepared.
  std::optional<HostArena> memory{};
};

/// Host memory in which a tier will have the plan's weights; none where they are on the disk.
base::Result<std::optional<HostArena>> reserve_segments(const plan::Plan& plan,
                                                        device::Device& device, WeightTier tier);

/// The source of a model whose weights are prepared later: the tier is known from the start on.
class LateSegmentSource final : public SegmentSource {
 public:
  explicit LateSegmentSource(WeightTier tier) : tier_(tier) {}

  /// Once, before anybody reads. `source` is of the same tier.
  void set(std::unique_ptr<SegmentSource> source);
  WeightTier tier() const override { return tier_; }
  base::Result<> read(int32_t segment, const SegmentTarget& target) override;

 private:
  const WeightTier tier_;
  std::unique_ptr<SegmentSource> source_;
};

/// A source, and how the weights came to be there.
struct PreparedSegments {
  std::unique_ptr<SegmentSource> source;
  LoadReport report;
};

/// Packs a checkpoint's weights, by `ops` and on the host's processors, to where a tier has them,
/// or finds them packed. They are on the host once while they are packed, for kDisk too.
/// `device` outlives the source.
base::Result<PreparedSegments> prepare_segments(const plan::Plan& plan,
                                                const formats::Checkpoint& checkpoint,
                                                const kernels::OpTable& ops, device::Device& device,
                                                SegmentSourceOptions options);

/// The same of weights that are packed already; of the options, `folder` says nothing.
base::Result<PreparedSegments> prepare_packed_segments(
    const plan::Plan& plan, const std::shared_ptr<const PackedWeightsFile>& file,
    device::Device& device, SegmentSourceOptions options);

}  // namespace neuros::runtime
