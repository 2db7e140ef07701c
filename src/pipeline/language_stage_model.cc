#include "pipeline/language_stage_model.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using Json = nlohmann::ordered_json;

struct RenderedPrompt {
  std::vector<int32_t> ids;
  std::optional<ReasoningSplitter> splitter;  ///< of a model that thinks
};

Json messages_of(const ModelCall& call) {
  const Json prompt{{"role", "user"}, {"content", call.prompt}};
  if (!call.conversation) return Json::array({prompt});
  Json messages = *call.conversation;
  const auto last = std::find_if(messages.rbegin(), messages.rend(), [](const Json& message) {
    return message.value("role", "") == "user";
  });
  if (last == messages.rend()) {
    messages.push_back(prompt);
  } else {
    (*last)["content"] = call.prompt;
  }
  return messages;
}

bool ends_with_tag(std::string_view prompt, std::string_view tag) {
  const size_t last = prompt.find_last_not_of(" \n\r\t");
  return last != prompt.npos && prompt.substr(0, last + 1).ends_with(tag);
}

base::Result<RenderedPrompt> render(const LanguageModel& model, const ModelCall& call) {
  if (!model.has_chat_template()) return RenderedPrompt{model.tokenizer().encode(call.prompt), {}};
  const std::string text = TRY(model.apply_chat_template(
      {{"messages", messages_of(call)}, {"add_generation_prompt", true}}));
  RenderedPrompt rendered{model.encode_chat(text), {}};
  if (const auto tags = reasoning_tags(model.chat_template_source())) {
    rendered.splitter.emplace(tags->first, tags->second, ends_with_tag(text, tags->first));
  }
  return rendered;
}

/// New tokens at most.
base::Result<int32_t> tokens_to_generate(const LanguageModel& model, const ModelCall& call,
                                         size_t prompt_tokens) {
  const std::string counted = "the prompt has " + std::to_string(prompt_tokens) + " tokens";
  const auto prompt = static_cast<int64_t>(prompt_tokens);
  if (prompt == 0) return base::fail("the prompt is empty");
  if (call.input_tokens_max > 0 && prompt > call.input_tokens_max) {
    return base::fail(counted + ", max_input_tokens is " + std::to_string(call.input_tokens_max));
  }
  int64_t most = model.context() - prompt;
  if (most < 1) {
    return base::fail(counted + ", the context of " + model.id() + " holds " +
                      std::to_string(model.context()) + " with the answer");
  }
  if (call.output_tokens_max > 0) most = std::min<int64_t>(most, call.output_tokens_max);
  if (call.parameters.max_tokens) most = std::min<int64_t>(most, *call.parameters.max_tokens);
  return static_cast<int32_t>(most);
}

/// From a model's answer to what a stage is given.
class SplittingSink final : public GenerationSink {
 public:
  SplittingSink(std::shared_ptr<ModelSink> sink, std::optional<ReasoningSplitter> splitter)
      : sink_(std::move(sink)), splitter_(std::move(splitter)) {}

  void on_text(std::string text, std::vector<TokenInfo> tokens) override {
    const auto count = static_cast<int32_t>(tokens.size());
    if (!splitter_) return give({"", std::move(text)}, count);
    give(splitter_->push(text), count);
  }
  void on_end(GenerationEnd end) override {
    if (splitter_) give(splitter_->finish(), 0);
    std::exchange(sink_, nullptr)->on_end(std::move(end));
  }

 private:
  void give(ReasoningSplitter::Parts parts, int32_t tokens) {
    if (parts.content.empty() && parts.reasoning.empty() && tokens == 0) return;
    const bool thinks = parts.content.empty() && !parts.reasoning.empty();
    sink_->on_text({.content = std::move(parts.content),
                    .reasoning = std::move(parts.reasoning),
                    .tokens = tokens,
                    .reasoning_tokens = thinks ? tokens : 0});
  }

  std::shared_ptr<ModelSink> sink_;
  std::optional<ReasoningSplitter> splitter_;
};

}  // namespace

base::Result<uint64_t> LanguageStageModel::start(const ModelCall& call,
                                                 std::shared_ptr<ModelSink> sink) {
  RenderedPrompt rendered = TRY(render(model_, call));
  GenerationRequest request;
  request.max_tokens = TRY(tokens_to_generate(model_, call, rendered.ids.size()));
  request.prompt = std::move(rendered.ids);
  request.sampling = model_.default_sampling();
  if (call.parameters.sampling) request.sampling = call.parameters.sampling(request.sampling);
  request.stop = call.parameters.stop;
  request.stop_tokens = call.parameters.stop_tokens;
  request.ignore_eos = call.parameters.ignore_eos;
  request.show_special = call.parameters.show_special;
  request.priority = call.priority;
  return model_.generate(std::move(request), std::make_shared<SplittingSink>(
                                                 std::move(sink), std::move(rendered.splitter)));
}

}  // namespace neuros::pipeline
