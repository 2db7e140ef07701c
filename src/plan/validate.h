#pragma once

#include "base/result.h"
#include "plan/fleet_plan.h"

#include <cstdint>

namespace neuros::plan {

/// Of anything, so that sums and products of sizes are far from overflowing.
inline constexpr int64_t kPlanBytesMax = int64_t{1} << 50;
inline constexpr size_t kPlanModelsMax = 64;

/// Whether the plan agrees with itself, so that who boots it may trust every number that only
/// kernels can judge (docs/formats/plan.md, "Reading"). Every plan of the builder does. Errors name
/// the model, the part, the value and the limit.
base::Result<> validate(const FleetPlan& fleet);

/// The same of one model's program alone: ops, and the weights and values they name.
base::Result<> validate_program(const Plan& plan);

}  // namespace neuros::plan
