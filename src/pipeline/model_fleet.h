#pragma once

/// Language models that share a device: planned together, booted together, their weights paged
/// where the device does not hold them all.

#include "base/result.h"
#include "pipeline/language_model.h"
#include "plan/fleet_plan.h"
#include "runtime/fleet.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace neuros::pipeline {

struct FleetModelOptions {
  std::string path;
  std::string name;  ///< id in the API; "": from the file
};

/// The plan ModelFleet::open would boot; reads no weights.
base::Result<plan::FleetPlan> plan_fleet(const std::vector<FleetModelOptions>& models,
                                         const ModelOptions& options);

class ModelFleet {
 public:
  /// `options` are those of every model, but for the name. Errors name the file. Two models with
  /// one id are an error.
  static base::Result<std::unique_ptr<ModelFleet>> open(
      const std::vector<FleetModelOptions>& models, ModelOptions options);
  ~ModelFleet();

  const std::vector<std::unique_ptr<LanguageModel>>& models() const;
  const plan::FleetPlan& plan() const;
  runtime::Fleet& fleet();

 private:
  struct State;
  explicit ModelFleet(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace neuros::pipeline
