#pragma once

/// The body of a completion request that is for a pipeline.

#include "serve/backend.h"
#include "serve/field_reader.h"

#include <string>

namespace neuros::serve {

struct PipelineFields {
  pipeline::PipelineRequest request;
  std::string context;  ///< text of the whole conversation
  bool stream = false;
  bool include_usage = false;
  bool timings = false;
};

/// `input`, else `metadata`, becomes the fields of `$request`. Fields that ask for something that
/// only a model can give (n, logprobs, tools, ...) are refused by name.
tl::expected<PipelineFields, ApiError> read_pipeline_chat(const Json& body,
                                                          const PipelineFacts& pipeline);
tl::expected<PipelineFields, ApiError> read_pipeline_completion(const Json& body,
                                                                const PipelineFacts& pipeline);

}  // namespace neuros::serve
