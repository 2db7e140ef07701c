#pragma once

/// Models of one file are one model with several names: its weights are in memory once, and so are
/// its keys and values.

#include "pipeline/model_fleet.h"

#include <cstddef>
#include <vector>

namespace neuros::pipeline {

struct SharedModels {
  /// Of different files, in the order they were first named in; what they ask for holds for all of
  /// their names.
  std::vector<FleetModelOptions> models;
  std::vector<size_t> of_name;  ///< for each that was given, which of them it is
};

/// Models of one file that want the same types of weights, keys and values become one: with the
/// longest context and the highest priority, room for the sequences of all, and the first text to
/// calibrate by that one of them has.
SharedModels share_models(const std::vector<FleetModelOptions>& models);
/// Groups of given models as groups of those.
FleetWishes share_models(FleetWishes wishes, const SharedModels& shared);

}  // namespace neuros::pipeline
