#pragma once

/// The models of a pipeline specification as a fleet.

#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"
#include "pipeline/model_fleet.h"

#include <string>
#include <vector>

namespace neuros::pipeline {

/// What the specification asks for each of its models, in its order. Files are looked for from
/// `folder` on. Fails, naming the model, for a class that this program does not run.
base::Result<std::vector<FleetModelOptions>> fleet_models(const builder::PipelineSpec& spec,
                                                          const std::string& folder);
/// And for all of them.
FleetWishes fleet_wishes(const builder::PipelineSpec& spec, const builder::StageGraph& graph);
/// Options of a fleet: what the specification says of memory, where they say nothing.
ModelOptions fleet_options(const builder::PipelineSpec& spec, ModelOptions options);

}  // namespace neuros::pipeline
