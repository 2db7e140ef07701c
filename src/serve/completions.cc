/// POST /v1/completions (https://platform.openai.com/docs/api-reference/completions/create)

#include "serve/api.h"
#include "serve/completion_answer.h"
#include "serve/completion_prompts.h"
#include "serve/generation_fields.h"
#include "serve/pipeline_fields.h"
#include "serve/pipeline_job.h"
#include "serve/request_target.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

struct CompletionRequest {
  std::shared_ptr<ServedModel> model;
  GenerationFields fields;
  std::vector<CompletionPrompt> prompts;
  bool echo = false;
  std::optional<int32_t> logprobs;
};

void refuse_legacy_fields(FieldReader& fields, int32_t n) {
  if (const Json* suffix = fields.find("suffix"); suffix && *suffix != "") {
    fields.fail(unsupported_field("suffix", "'suffix' is not supported by this model."));
  }
  std::optional<int32_t> best_of;
  fields.read("best_of", best_of, Range<int64_t>{1, 20});
  if (best_of && *best_of != n) {
    fields.fail(unsupported_field("best_of", "'best_of' can only be equal to 'n'."));
  }
}

tl::expected<CompletionRequest, ApiError> read_completion(const std::shared_ptr<ServedModel>& model,
                                                          const Json& body) {
  FieldReader fields(body);
  CompletionRequest out;
  out.model = model;
  out.fields = read_generation_fields(fields, out.model->facts());
  refuse_unsupported(fields);
  refuse_legacy_fields(fields, out.fields.n);
  fields.read("echo", out.echo);
  fields.read("logprobs", out.logprobs, Range<int64_t>{0, 20});
  if (fields.ok()) out.prompts = read_prompts(fields, *out.model);
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  return out;
}

pipeline::GenerationRequest choice_request(const CompletionRequest& completion,
                                           const CompletionPrompt& prompt, int32_t max_tokens,
                                           int32_t choice) {
  auto generation = to_request(completion.fields, prompt.ids, max_tokens, choice);
  generation.logprobs = completion.logprobs;
  if (completion.echo) generation.prompt_logprobs = completion.logprobs;
  // Scoring harnesses count on exactly one new token after the prompt's, whichever it is.
  const bool scores = completion.echo && completion.logprobs && max_tokens == 1;
  generation.ignore_eos = generation.ignore_eos || scores;
  return generation;
}

tl::expected<std::vector<GenerationJob::Choice>, ApiError> make_choices(
    const CompletionRequest& completion) {
  std::vector<GenerationJob::Choice> choices;
  for (size_t p = 0; p < completion.prompts.size(); ++p) {
    const CompletionPrompt& prompt = completion.prompts[p];
    const auto max_tokens = tokens_to_generate(completion.model->facts(), prompt.ids.size(),
                                               completion.fields.max_tokens, "prompt");
    if (!max_tokens) return tl::unexpected(max_tokens.error());
    for (int32_t i = 0; i < completion.fields.n; ++i) {
      choices.push_back({choice_request(completion, prompt, *max_tokens, i), i == 0});
    }
  }
  return choices;
}

CompletionAnswerOptions answer_options(const CompletionRequest& completion, WriterPtr writer) {
  CompletionAnswerOptions options;
  options.head = {.id = random_id("cmpl-"),
                  .object = "",
                  .model = completion.model->facts().id,
                  .created_unix_s = unix_time_s()};
  options.writer = std::move(writer);
  options.model = completion.model;
  for (const CompletionPrompt& prompt : completion.prompts) {
    const std::string echo = completion.echo ? prompt.text : "";
    options.echoes.insert(options.echoes.end(), static_cast<size_t>(completion.fields.n), echo);
  }
  options.logprobs = completion.logprobs.has_value();
  options.echo_logprobs = options.logprobs && completion.echo;
  options.show_special = completion.fields.show_special;
  options.stream = completion.fields.stream;
  options.include_usage = completion.fields.include_usage;
  return options;
}

std::optional<ApiError> start_model_completion(Api& api, const RequestTarget& target,
                                               const Json& body, const WriterPtr& writer) {
  auto completion = read_completion(target.model, body);
  if (!completion) return std::move(completion).error();
  auto choices = make_choices(*completion);
  if (!choices) return std::move(choices).error();
  GenerationJob::start({.model = completion->model,
                        .choices = std::move(*choices),
                        .answer = make_completion_answer(answer_options(*completion, writer)),
                        .writer = writer,
                        .metrics = &api.metrics,
                        .times = completion->fields.timings,
                        .route = target.route});
  return std::nullopt;
}

std::optional<ApiError> start_pipeline_completion(Api& api, const RequestTarget& target,
                                                  const Json& body, const WriterPtr& writer) {
  auto fields = read_pipeline_completion(body, target.pipeline->facts());
  if (!fields) return std::move(fields).error();
  CompletionAnswerOptions options;
  options.head = {.id = random_id("cmpl-"),
                  .object = "",
                  .model = target.pipeline->facts().id,
                  .created_unix_s = unix_time_s()};
  options.writer = writer;
  options.echoes = {""};
  options.stream = fields->stream;
  options.include_usage = fields->include_usage;
  PipelineJob::start({.pipeline = target.pipeline,
                      .request = std::move(fields->request),
                      .context = std::move(fields->context),
                      .answer = make_completion_answer(std::move(options)),
                      .writer = writer,
                      .metrics = &api.metrics,
                      .times = fields->timings});
  return std::nullopt;
}

std::optional<ApiError> start_completion(Api& api, const Request& request,
                                         const WriterPtr& writer) {
  auto body = parse_json_body(request.body);
  if (!body) return std::move(body).error();
  FieldReader fields(*body);
  auto target = read_target(api.backend, fields, [&] { return completion_texts(*body); });
  if (!target) return std::move(target).error();
  return target->pipeline ? start_pipeline_completion(api, *target, *body, writer)
                          : start_model_completion(api, *target, *body, writer);
}

}  // namespace

void completions(Api& api, const Request& request, WriterPtr writer) {
  if (auto error = start_completion(api, request, writer)) writer->send(error_response(*error));
}

}  // namespace neuros::serve
