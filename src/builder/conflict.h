#pragma once

#include "builder/demand.h"

#include <string>

namespace neuros::builder {

/// Whether all models fit with the least that will do for each.
bool is_feasible(const FleetDemand& fleet);

/// Names demands that cannot be met together, none of which could be left out: each is a model or
/// something that was asked for it, with its bytes. The fleet must not be feasible.
std::string describe_conflict(const FleetDemand& fleet);

}  // namespace neuros::builder
