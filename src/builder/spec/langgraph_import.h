#pragma once

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"

#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct NodeModel {
  std::string node;
  std::string file;
};

/// A specification out of a LangGraph graph (docs/formats/pipeline.md, "From LangGraph"). Nodes in
/// `models` run that file, all others call a tool of their own name. What comes out passes
/// parse_pipeline; `to_yaml` writes it.
base::Result<PipelineSpec> import_langgraph(std::string_view json,
                                            const std::vector<NodeModel>& models);

}  // namespace neuros::builder
