#pragma once

/// The plans of models that share a device.

#include "plan/plan.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::plan {

/// What the weights of models do that share a device.
enum class Residency : uint8_t {
  kAllStay,     ///< on the device, all of them
  kTogether,    ///< those of models that work at the same time are there together
  kOneAtATime,  ///< those of any one model are there as a whole, beside those that never leave
  kStreams,     ///< they come and go within a pass
};

inline constexpr std::array<std::string_view, 4> kResidencyNames{"all stay", "together",
                                                                 "one at a time", "streams"};

/// Where weights wait that are not on the device, the fastest first.
enum class Home : uint8_t { kPinned, kPageable, kDisk };
inline constexpr std::array<std::string_view, 3> kHomeNames{"pinned", "pageable", "disk"};
inline std::string_view name(Home home) {
  return kHomeNames[static_cast<size_t>(home)];
}

/// How fast weights come to the device from each home, bytes per second; 0: unknown.
using OnloadRates = std::array<double, kHomeNames.size()>;

/// What a model was allotted, beside the bytes that its plan names.
struct Allocation {
  std::string id;                    ///< for people
  std::vector<std::string> names{};  ///< in the API; models of one file are one
  std::string priority;              ///< "critical", "medium", "low"
  bool stays = true;                 ///< its weights never leave the device
  Home home = Home::kPinned;         ///< where its weights wait if they do
  std::vector<int32_t> together{};   ///< groups of models that run at the same time which it is in
  std::array<int64_t, kHomeNames.size()> onload_us{};  ///< of all its weights; 0: unknown
};

struct FleetPlan {
  std::vector<Plan> models{};
  std::vector<Allocation> allocations{};  ///< one for each model
  Residency residency = Residency::kAllStay;
  int64_t budget_bytes = 0;  ///< of the device's memory, for all of them
  /// Memory for weights that come and go, in frames that segments begin with. No frames: all
  /// weights stay.
  int64_t frame_bytes = 0, frames = 0;
  MemoryPlan memory{};  ///< of the whole process, as if the fleet were one model
  std::vector<std::string> reasons{};

  bool pages() const { return frames > 0; }
  /// What boot reserves on the device: everything there ever is.
  int64_t device_bytes() const { return memory.arena_bytes(); }
  /// Weights that wait in the host's memory, as copies of what is on the device: of all models, or
  /// of those whose home is `home`.
  int64_t home_bytes() const { return home_bytes(Home::kPinned) + home_bytes(Home::kPageable); }
  int64_t home_bytes(Home home) const;
  /// Of the process on the host, at rest and at most.
  int64_t steady_bytes() const { return memory.steady_bytes() + home_bytes(); }
  int64_t peak_bytes() const { return memory.peak_bytes() + home_bytes(); }
  /// Frames that the weights of a model take when all of them are there.
  int64_t frames_of(const Plan& model) const;
};

/// A model alone, with as much memory as it takes.
FleetPlan fleet_of_one(Plan plan);

/// A page a person reads; and the same as JSON.
std::string describe(const FleetPlan& fleet);
std::string describe_json(const FleetPlan& fleet);

}  // namespace neuros::plan
