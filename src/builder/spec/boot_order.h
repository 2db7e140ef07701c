#pragma once

/// Which model's weights are prepared first, where a pipeline is booted on demand.

#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"

#include <string>
#include <vector>

namespace neuros::builder {

/// Ids of all models, each once: as the stages of a request need them, of a route every one that it
/// may pick, then those that no stage uses, in the order of the file.
std::vector<std::string> boot_order(const PipelineSpec& spec, const StageGraph& graph);

}  // namespace neuros::builder
