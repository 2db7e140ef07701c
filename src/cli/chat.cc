#include "cli/chat.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

/// Fills the request's limits from the room the context leaves.
base::Result<pipeline::GenerationRequest> request_for(pipeline::LanguageModel& model,
                                                      std::vector<int32_t> prompt,
                                                      const ChatOptions& options) {
  const int32_t room = model.context() - static_cast<int32_t>(prompt.size());
  if (room < 1) {
    return base::fail("the prompt has " + std::to_string(prompt.size()) +
                      " tokens, the context holds " + std::to_string(model.context()));
  }
  pipeline::GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = options.max_tokens > 0 ? std::min(options.max_tokens, room) : room;
  request.sampling = options.sampling;
  return request;
}

}  // namespace

Chat::Chat(pipeline::LanguageModel& model, ChatOptions options)
    : model_(model),
      options_(std::move(options)),
      messages_(std::make_unique<nlohmann::ordered_json>()) {
  forget();
}

Chat::~Chat() = default;

void Chat::forget() {
  *messages_ = nlohmann::ordered_json::array();
  if (!options_.system.empty()) {
    messages_->push_back({{"role", "system"}, {"content", options_.system}});
  }
}

base::Result<pipeline::Answer> Chat::say(const std::string& text,
                                         std::function<void(const std::string&)> on_piece) {
  messages_->push_back({{"role", "user"}, {"content", text}});
  const std::string rendered =
      TRY(model_.apply_chat_template({{"messages", *messages_}, {"add_generation_prompt", true}}));
  auto request = TRY(request_for(model_, model_.encode_chat(rendered), options_));
  auto answered = TRY(pipeline::answer(model_, std::move(request), std::move(on_piece)));
  messages_->push_back({{"role", "assistant"}, {"content", answered.text}});
  return answered;
}

base::Result<pipeline::Answer> complete(pipeline::LanguageModel& model, const std::string& prompt,
                                        const ChatOptions& options,
                                        std::function<void(const std::string&)> on_piece) {
  auto request = TRY(request_for(model, model.tokenizer().encode(prompt), options));
  return pipeline::answer(model, std::move(request), std::move(on_piece));
}

}  // namespace neuros::cli
