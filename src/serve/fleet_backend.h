#pragma once

#include "pipeline/model_fleet.h"
#include "serve/backend.h"

#include <memory>
#include <vector>

namespace neuros::serve {

/// The models of a fleet, which outlives the backend.
class FleetBackend final : public Backend {
 public:
  explicit FleetBackend(pipeline::ModelFleet& fleet);
  std::vector<std::shared_ptr<ServedModel>> models() const override { return models_; }
  std::optional<FleetResidency> residency() const override;

 private:
  pipeline::ModelFleet& fleet_;
  std::vector<std::shared_ptr<ServedModel>> models_;
};

}  // namespace neuros::serve
