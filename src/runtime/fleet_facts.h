#pragma once

#include "device/device.h"
#include "plan/plan.h"
#include "sched/fleet.h"

#include <span>
#include <vector>

namespace neuros::runtime {

/// The fleet of some plans as its scheduler sees it: which segments the steps of a pass, the
/// program's segments, read, and how many frames they take.
/// `stays`: of each plan, whether its segments never leave the device.
sched::FleetFacts paged_fleet_facts(std::span<const plan::Plan* const> plans,
                                    const std::vector<bool>& stays,
                                    const device::FramePoolOptions& weights);
/// The same where everything is there from boot on: each segment pinned, in a frame of its own.
sched::FleetFacts resident_fleet_facts(std::span<const plan::Plan* const> plans);

}  // namespace neuros::runtime
