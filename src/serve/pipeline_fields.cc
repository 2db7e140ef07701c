#include "serve/pipeline_fields.h"

#include "serve/chat_messages.h"
#include "serve/generation_fields.h"
#include "serve/request_target.h"

#include <array>
#include <memory>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

constexpr std::array kModelsOnly = {"logprobs",         "top_logprobs",         "tools", "audio",
                                    "reasoning_effort", "chat_template_kwargs", "suffix"};

void refuse_for_models_only(FieldReader& fields, int32_t n) {
  refuse_unsupported(fields);
  for (const char* name : kModelsOnly) {
    const Json* field = fields.find(name);
    if (field == nullptr || *field == false || *field == 0 || *field == "") continue;
    return fields.fail(unsupported_field(
        name, std::string("'") + name + "': a pipeline does not take it; ask one of its models."));
  }
  bool echo = false;
  fields.read("echo", echo);
  if (echo) fields.fail(unsupported_field("echo", "'echo': a pipeline does not take it."));
  std::optional<int32_t> best_of;
  fields.read("best_of", best_of, Range<int64_t>{1, 20});
  if (n != 1 || best_of.value_or(1) != 1) {
    fields.fail(unsupported_field(n != 1 ? "n" : "best_of", "A pipeline gives one choice."));
  }
}

/// What `$request.NAME` finds: a copy of the object; null if there is none.
std::shared_ptr<const Json> read_request_fields(FieldReader& fields) {
  for (const char* name : {"input", "metadata"}) {
    const Json* object = fields.find(name);
    if (object == nullptr) continue;
    if (object->is_object()) return std::make_shared<const Json>(*object);
    fields.fail_type(name, "an object", *object);
  }
  return nullptr;
}

void read_parameters(FieldReader& fields, const Json& body, const PipelineFacts& pipeline,
                     PipelineFields& out) {
  ModelFacts model;
  model.vocabulary_size = pipeline.vocabulary_size;
  const GenerationFields read = read_generation_fields(fields, model);
  refuse_for_models_only(fields, read.n);
  if (read.max_tokens == 0) {
    fields.fail(invalid_field("max_tokens", "'max_tokens' must be at least 1 for a pipeline."));
  }
  out.stream = read.stream;
  out.include_usage = read.include_usage;
  out.timings = read.timings;
  if (fields.find("priority")) out.request.priority = read.priority;
  pipeline::AnswerParameters& answer = out.request.parameters;
  answer.sampling = [kept = std::make_shared<const Json>(body),
                     size = model.vocabulary_size](const pipeline::SamplingParams& defaults) {
    return sampling_over(*kept, size, defaults);
  };
  answer.max_tokens = read.max_tokens;
  answer.stop = read.stop;
  answer.stop_tokens = read.stop_tokens;
  answer.ignore_eos = read.ignore_eos;
  answer.show_special = read.show_special;
}

}  // namespace

tl::expected<PipelineFields, ApiError> read_pipeline_chat(const Json& body,
                                                          const PipelineFacts& pipeline) {
  FieldReader fields(body);
  PipelineFields out;
  read_parameters(fields, body, pipeline, out);
  auto request_fields = read_request_fields(fields);
  const Json inputs = read_chat_inputs(fields, {});
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  RequestTexts texts = chat_texts(inputs);
  if (texts.prompt.empty()) {
    return tl::unexpected(
        invalid_field("messages",
                      "'messages' must have a user message with text: it is what the "
                      "pipeline is asked."));
  }
  out.context = std::move(texts.context);
  out.request.request =
      pipeline::StageValue::of(std::move(texts.prompt), std::move(request_fields));
  out.request.conversation = std::make_shared<const Json>(inputs["messages"]);
  return out;
}

tl::expected<PipelineFields, ApiError> read_pipeline_completion(const Json& body,
                                                                const PipelineFacts& pipeline) {
  FieldReader fields(body);
  PipelineFields out;
  read_parameters(fields, body, pipeline, out);
  auto request_fields = read_request_fields(fields);
  const Json* prompt = fields.find("prompt");
  if (fields.ok() && (prompt == nullptr || !prompt->is_string() || *prompt == "")) {
    fields.fail_type("prompt", "a text for a pipeline", prompt ? *prompt : Json(nullptr));
  }
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  out.context = prompt->get<std::string>();
  out.request.request = pipeline::StageValue::of(out.context, std::move(request_fields));
  return out;
}

}  // namespace neuros::serve
