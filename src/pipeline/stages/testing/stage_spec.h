#pragma once

/// Specifications of stages for tests, over models m and n and a route between them.

#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/stage_graph.h"

#include <string>

namespace neuros::pipeline::testing {

inline builder::PipelineSpec spec_of(const std::string& stages) {
  return builder::parse_pipeline(
             "models: {m: {file: m}, n: {file: n, priority: low}}\n"
             "routes: {pick: 'if prompt_len < 64 -> m; else -> n'}\nstages: " +
                 stages,
             "p.yaml")
      .value();
}

inline builder::StageGraph graph_of(const builder::PipelineSpec& spec) {
  return builder::StageGraph::create(spec).value();
}

}  // namespace neuros::pipeline::testing
