#pragma once

#include "pipeline/pipeline_app.h"
#include "serve/fleet_backend.h"

#include <memory>
#include <optional>
#include <vector>

namespace neuros::serve {

/// What a pipeline specification says there is to ask: the pipeline, its routes, its models. The
/// app outlives the backend.
class PipelineBackend final : public Backend {
 public:
  explicit PipelineBackend(pipeline::PipelineApp& app);
  std::vector<std::shared_ptr<ServedModel>> models() const override { return fleet_.models(); }
  std::vector<std::shared_ptr<ServedPipeline>> pipelines() const override { return pipelines_; }
  std::vector<std::shared_ptr<ServedRoute>> routes() const override { return routes_; }
  std::optional<FleetResidency> residency() const override { return fleet_.residency(); }

 private:
  FleetBackend fleet_;
  std::vector<std::shared_ptr<ServedPipeline>> pipelines_;
  std::vector<std::shared_ptr<ServedRoute>> routes_;
};

}  // namespace neuros::serve
