#pragma once

#include "base/process_memory.h"
#include "plan/fleet_plan.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::cli {

/// What was predicted for a process beside what it has and had at most:
/// "memory: predicted 41.0 MiB, resident 40.2 MiB; predicted peak 42.1 MiB, peak 41.5 MiB".
std::string memory_report(const plan::FleetPlan& fleet, const base::ProcessMemory& measured);
/// The same four in bytes.
nlohmann::ordered_json memory_report_json(const plan::FleetPlan& fleet,
                                          const base::ProcessMemory& measured);

/// "map 0011223344556677" (plan/map_hash.h).
std::string map_report(const plan::FleetPlan& fleet);

}  // namespace neuros::cli
