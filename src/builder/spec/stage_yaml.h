#pragma once

#include "builder/spec/pipeline_spec.h"
#include "builder/spec/yaml_value.h"

#include <string>
#include <vector>

namespace neuros::builder {

/// What a stage may name.
struct KnownNames {
  const PipelineSpec& spec;         ///< with its models and routes
  std::vector<std::string> stages;  ///< ids of all of them
};

/// The id of a stage whose other keys are not read yet.
base::Result<std::string> read_stage_id(const YamlValue& value);

/// One entry of `stages`: every name in it exists, and every key fits the others. Circles are not
/// looked for (stage_graph.h does).
base::Result<StageSpec> read_stage(const YamlValue& value, const KnownNames& names);

/// An entry of kPriorityNames.
base::Result<sched::Priority> read_priority(const YamlValue& value);

}  // namespace neuros::builder
