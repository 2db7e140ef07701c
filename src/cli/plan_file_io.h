#pragma once

#include "base/result.h"
#include "plan/fleet_plan.h"

#include <optional>
#include <string>

namespace neuros::cli {

/// Of a file of a plan or an artefact; nullopt: it is neither. Errors name the file.
base::Result<std::optional<plan::FleetPlan>> find_plan(const std::string& path);
base::Result<plan::FleetPlan> load_plan(const std::string& path);
base::Result<> save_plan(const plan::FleetPlan& fleet, const std::string& path);

/// What a plan is to a person, or to a machine: of one model the whole page.
std::string plan_page(const plan::FleetPlan& fleet, bool json);

}  // namespace neuros::cli
