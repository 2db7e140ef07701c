#pragma once

/// The fields that chat and legacy completions share.

#include "serve/backend.h"
#include "serve/field_reader.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::serve {

struct GenerationFields {
  std::optional<int32_t> max_tokens;  ///< absent: what the context leaves
  pipeline::SamplingParams sampling;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_tokens;
  bool ignore_eos = false;
  bool show_special = false;
  int32_t n = 1;
  bool stream = false;
  bool include_usage = false;
  bool timings = false;
  sched::Priority priority = sched::Priority::kMedium;
};

/// The model `model` names; absent: the default.
tl::expected<std::shared_ptr<ServedModel>, ApiError> read_model(const Backend& backend,
                                                                FieldReader& fields);

/// Sampling starts from the model's defaults. Errors stay in `fields`.
GenerationFields read_generation_fields(FieldReader& fields, const ModelFacts& model);

/// The sampling fields of a body that was read before, over other defaults: for who learns late
/// which model answers.
pipeline::SamplingParams sampling_over(const Json& body, int32_t vocabulary_size,
                                       pipeline::SamplingParams defaults);

/// Fields that would change the answer and are not implemented: refused, never ignored.
void refuse_unsupported(FieldReader& fields);

/// Most new tokens for a prompt, or context_length_exceeded with both counts.
tl::expected<int32_t, ApiError> tokens_to_generate(const ModelFacts& model, size_t prompt_tokens,
                                                   std::optional<int32_t> max_tokens,
                                                   const std::string& prompt_field);

/// A request for one choice. The i-th of n choices gets seed + i.
pipeline::GenerationRequest to_request(const GenerationFields& fields, std::vector<int32_t> prompt,
                                       int32_t max_tokens, int32_t choice);

}  // namespace neuros::serve
