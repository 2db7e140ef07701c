#pragma once

#include "builder/spec/pipeline_spec.h"

#include <string>

namespace neuros::builder {

/// The specification as YAML that parse_pipeline reads back as the same.
std::string to_yaml(const PipelineSpec& spec);

}  // namespace neuros::builder
