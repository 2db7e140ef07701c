#pragma once

/// A plan as a file: docs/formats/plan.md.

#include "base/result.h"
#include "plan/fleet_plan.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace neuros::plan {

inline constexpr uint32_t kPlanFileVersion = 2;
inline constexpr size_t kPlanFileBytesMax = size_t{256} << 20;

/// Equal plans give equal bytes.
std::vector<std::byte> write_plan(const FleetPlan& fleet);

/// A plan that validate() accepts. Errors say what is wrong with the file, not its name.
base::Result<FleetPlan> read_plan(std::span<const std::byte> file);

}  // namespace neuros::plan
