#pragma once

#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"

#include <string>

namespace neuros::builder {

/// What `neuros plan FILE.yaml` prints: models, limits, stages in order, and what may overlap.
std::string describe(const PipelineSpec& spec, const StageGraph& graph);
/// The same for machines.
std::string describe_json(const PipelineSpec& spec, const StageGraph& graph);

}  // namespace neuros::builder
