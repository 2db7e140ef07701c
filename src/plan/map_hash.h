#pragma once

#include "plan/fleet_plan.h"

#include <cstdint>
#include <string>

namespace neuros::plan {

/// XXH64 of the memory map alone (docs/formats/plan.md): equal hashes, equal offsets.
uint64_t map_hash(const FleetPlan& fleet);
uint64_t map_hash(const Plan& plan);  ///< of a fleet of this one

/// As it is printed: 16 hexadecimal digits.
std::string map_hash_text(uint64_t hash);

}  // namespace neuros::plan
