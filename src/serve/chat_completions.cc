/// POST /v1/chat/completions
/// (https://platform.openai.com/docs/api-reference/chat/create)

#include "serve/api.h"
#include "serve/chat_answer.h"
#include "serve/chat_messages.h"
#include "serve/generation_fields.h"
#include "serve/pipeline_fields.h"
#include "serve/pipeline_job.h"
#include "serve/request_target.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

struct ChatRequest {
  std::shared_ptr<ServedModel> model;
  GenerationFields fields;
  Json inputs;  ///< of the template
  bool logprobs = false;
  int32_t top_logprobs = 0;
  bool split_reasoning = true;
};

void refuse_other_modalities(FieldReader& fields) {
  if (fields.find("audio")) {
    return fields.fail(unsupported_field("audio", "'audio': this model answers in text only."));
  }
  const Json* modalities = fields.find("modalities");
  if (modalities && *modalities != Json::array({"text"})) {
    fields.fail(unsupported_field("modalities", "'modalities' can only be [\"text\"]."));
  }
}

void read_chat_logprobs(FieldReader& fields, ChatRequest& out) {
  fields.read("logprobs", out.logprobs);
  std::optional<int32_t> top;
  fields.read("top_logprobs", top, Range<int64_t>{0, 20});
  out.top_logprobs = top.value_or(0);
  if (top.value_or(0) > 0 && !out.logprobs) {
    fields.fail(invalid_field("top_logprobs", "'top_logprobs' needs 'logprobs' to be true."));
  }
}

tl::expected<ChatRequest, ApiError> read_chat(const std::shared_ptr<ServedModel>& model,
                                              const Json& body) {
  FieldReader fields(body);
  ChatRequest out;
  out.model = model;
  out.fields = read_generation_fields(fields, out.model->facts());
  if (out.fields.max_tokens == 0) {
    const char* name = body.contains("max_tokens") && body["max_tokens"] == 0
                           ? "max_tokens"
                           : "max_completion_tokens";
    fields.fail(invalid_field(name, std::string("'") + name + "' must be at least 1."));
  }
  refuse_unsupported(fields);
  refuse_other_modalities(fields);
  read_chat_logprobs(fields, out);
  std::string format = "auto";
  fields.read("reasoning_format", format);
  out.split_reasoning = format != "none";
  out.inputs = read_chat_inputs(fields, out.model->facts());
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  return out;
}

ApiError template_error(const base::Error& error) {
  return {.message = "The chat template cannot render these messages: " + error.message,
          .code = "invalid_value",
          .param = "messages"};
}

bool ends_with_tag(std::string_view prompt, std::string_view tag) {
  const size_t last = prompt.find_last_not_of(" \n\r\t");
  return last != prompt.npos && prompt.substr(0, last + 1).ends_with(tag);
}

ChatAnswerOptions answer_options(const ChatRequest& chat, const std::string& prompt,
                                 WriterPtr writer) {
  ChatAnswerOptions options;
  options.head = {.id = random_id("chatcmpl-"),
                  .object = "",
                  .model = chat.model->facts().id,
                  .created_unix_s = unix_time_s()};
  options.writer = std::move(writer);
  options.model = chat.model;
  options.choices = static_cast<size_t>(chat.fields.n);
  options.logprobs = chat.logprobs;
  options.stream = chat.fields.stream;
  options.include_usage = chat.fields.include_usage;
  if (chat.split_reasoning) {
    options.reasoning_tags = pipeline::reasoning_tags(chat.model->facts().chat_template);
  }
  options.starts_inside_reasoning =
      options.reasoning_tags && ends_with_tag(prompt, options.reasoning_tags->first);
  return options;
}

std::optional<ApiError> start_model_chat(Api& api, const RequestTarget& target, const Json& body,
                                         const WriterPtr& writer) {
  auto chat = read_chat(target.model, body);
  if (!chat) return std::move(chat).error();
  auto prompt = chat->model->chat_prompt(chat->inputs);
  if (!prompt) return template_error(prompt.error());
  const auto max_tokens = tokens_to_generate(chat->model->facts(), prompt->ids.size(),
                                             chat->fields.max_tokens, "messages");
  if (!max_tokens) return max_tokens.error();
  std::vector<GenerationJob::Choice> choices;
  for (int32_t i = 0; i < chat->fields.n; ++i) {
    auto generation = to_request(chat->fields, prompt->ids, *max_tokens, i);
    if (chat->logprobs) generation.logprobs = chat->top_logprobs;
    choices.push_back({std::move(generation), i == 0});
  }
  GenerationJob::start({.model = chat->model,
                        .choices = std::move(choices),
                        .answer = make_chat_answer(answer_options(*chat, prompt->text, writer)),
                        .writer = writer,
                        .metrics = &api.metrics,
                        .times = chat->fields.timings,
                        .route = target.route});
  return std::nullopt;
}

std::optional<ApiError> start_pipeline_chat(Api& api, const RequestTarget& target, const Json& body,
                                            const WriterPtr& writer) {
  auto fields = read_pipeline_chat(body, target.pipeline->facts());
  if (!fields) return std::move(fields).error();
  ChatAnswerOptions options;
  options.head = {.id = random_id("chatcmpl-"),
                  .object = "",
                  .model = target.pipeline->facts().id,
                  .created_unix_s = unix_time_s()};
  options.writer = writer;
  options.stream = fields->stream;
  options.include_usage = fields->include_usage;
  PipelineJob::start({.pipeline = target.pipeline,
                      .request = std::move(fields->request),
                      .context = std::move(fields->context),
                      .answer = make_chat_answer(std::move(options)),
                      .writer = writer,
                      .metrics = &api.metrics,
                      .times = fields->timings});
  return std::nullopt;
}

std::optional<ApiError> start_chat(Api& api, const Request& request, const WriterPtr& writer) {
  auto body = parse_json_body(request.body);
  if (!body) return std::move(body).error();
  FieldReader fields(*body);
  auto target = read_target(api.backend, fields, [&] { return chat_texts(*body); });
  if (!target) return std::move(target).error();
  return target->pipeline ? start_pipeline_chat(api, *target, *body, writer)
                          : start_model_chat(api, *target, *body, writer);
}

}  // namespace

void chat_completions(Api& api, const Request& request, WriterPtr writer) {
  if (auto error = start_chat(api, request, writer)) writer->send(error_response(*error));
}

}  // namespace neuros::serve
