#pragma once

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"

#include <string>
#include <string_view>

namespace neuros::builder {

/// A specification out of YAML text, with every limit, reference and circle checked. Errors begin
/// with `file`, line and column: "pipeline.yaml:12:14: models.llm.context: ...".
base::Result<PipelineSpec> parse_pipeline(std::string_view yaml, const std::string& file);

/// The same from a file.
base::Result<PipelineSpec> load_pipeline(const std::string& path);

}  // namespace neuros::builder
