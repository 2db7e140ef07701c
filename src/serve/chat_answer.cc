#include "serve/chat_answer.h"

#include "serve/logprobs.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

using Parts = pipeline::ReasoningSplitter::Parts;

/// Splits reasoning from content and keeps log-probabilities until a part carries them; what is
/// done with a part is up to the plain and the streamed form.
class ChatAnswer : public Answer {
 public:
  explicit ChatAnswer(ChatAnswerOptions options) : options_(std::move(options)) {
    const auto& tags = options_.reasoning_tags;
    for (size_t i = 0; i < options_.choices; ++i) {
      Split split;
      if (tags) {
        split.splitter.emplace(tags->first, tags->second, options_.starts_inside_reasoning);
        split.thinking = true;
      }
      splits_.push_back(std::move(split));
    }
  }

  void on_prompt(size_t, std::vector<pipeline::TokenInfo>) override {}

  void on_text(size_t choice, std::string text, std::vector<pipeline::TokenInfo> tokens) override {
    Split& split = splits_[choice];
    Parts parts;
    if (split.splitter) {
      parts = split.splitter->push(text);
      count_thought(split, text, parts, static_cast<int64_t>(tokens.size()));
    } else {
      parts.content = std::move(text);
    }
    if (options_.logprobs) {
      for (Json& entry : chat_logprobs(*options_.model, tokens)) {
        split.logprobs.push_back(std::move(entry));
      }
    }
    emit_parts(choice, std::move(parts));
  }

  void on_reasoning(size_t choice, std::string text) override {
    emit(choice, "reasoning_content", std::move(text), nullptr);
  }

  void on_end(size_t choice, const pipeline::GenerationEnd& end) override {
    Split& split = splits_[choice];
    if (split.splitter) emit_parts(choice, split.splitter->finish());
    if (split.has_thought) reasoning_tokens_ += split.thought_tokens;
    end_choice(choice, take_logprobs(choice), finish_name(end.reason));
  }

  void on_done(Usage usage) override {
    usage.reasoning_tokens += reasoning_tokens_;
    finish(usage);
  }

 protected:
  /// `logprobs`: null, or {"content": [...]} of the tokens up to this part.
  virtual void emit(size_t choice, const char* field, std::string text, Json logprobs) = 0;
  virtual void end_choice(size_t choice, Json logprobs, const char* reason) = 0;
  virtual void finish(const Usage& usage) = 0;

  const ChatAnswerOptions& options() const { return options_; }

 private:
  struct Split {
    std::optional<pipeline::ReasoningSplitter> splitter;
    bool thinking = false;     ///< no content yet: the next tokens may be reasoning
    bool has_thought = false;  ///< ... and were
    int64_t thought_tokens = 0;
    std::string tail;  ///< the last text, to find a closing tag cut in two
    Json logprobs = Json::array();
  };

  /// Tokens up to the closing tag are reasoning, the tags included.
  void count_thought(Split& split, const std::string& text, const Parts& parts, int64_t tokens) {
    if (!split.thinking) return;
    const std::string& close = options_.reasoning_tags->second;
    split.tail += text;
    const bool closed = split.tail.find(close) != std::string::npos;
    split.thinking = !closed && parts.content.empty();
    split.has_thought = split.has_thought || closed || !parts.reasoning.empty();
    if (closed || split.thinking) split.thought_tokens += tokens;
    split.tail.erase(0, split.tail.size() - std::min(split.tail.size(), close.size() - 1));
  }

  Json take_logprobs(size_t choice) {
    Json& held = splits_[choice].logprobs;
    if (!options_.logprobs || held.empty()) return nullptr;
    return {{"content", std::exchange(held, Json::array())}, {"refusal", nullptr}};
  }

  void emit_parts(size_t choice, Parts parts) {
    if (!parts.reasoning.empty()) {
      Json logprobs = parts.content.empty() ? take_logprobs(choice) : Json(nullptr);
      emit(choice, "reasoning_content", std::move(parts.reasoning), std::move(logprobs));
    }
    if (!parts.content.empty()) {
      emit(choice, "content", std::move(parts.content), take_logprobs(choice));
    }
  }

  ChatAnswerOptions options_;
  std::vector<Split> splits_;
  int64_t reasoning_tokens_ = 0;
};

class PlainChatAnswer final : public ChatAnswer {
 public:
  explicit PlainChatAnswer(ChatAnswerOptions options)
      : ChatAnswer(std::move(options)), choices_(this->options().choices) {}

  void on_start() override {}
  void on_error(const ApiError& error) override { options().writer->send(error_response(error)); }

 private:
  struct Choice {
    std::string content, reasoning;
    Json logprobs = Json::array();
    std::string finish_reason;
  };

  void keep(Choice& choice, Json logprobs) {
    if (logprobs.is_null()) return;
    for (Json& entry : logprobs["content"]) choice.logprobs.push_back(std::move(entry));
  }

  void emit(size_t choice, const char* field, std::string text, Json logprobs) override {
    Choice& target = choices_[choice];
    (field == std::string_view("content") ? target.content : target.reasoning) += text;
    keep(target, std::move(logprobs));
  }

  void end_choice(size_t choice, Json logprobs, const char* reason) override {
    keep(choices_[choice], std::move(logprobs));
    choices_[choice].finish_reason = reason;
  }

  Json choice_json(size_t index) {
    Choice& choice = choices_[index];
    Json message;
    message["role"] = "assistant";
    message["content"] = std::move(choice.content);
    if (!choice.reasoning.empty()) message["reasoning_content"] = std::move(choice.reasoning);
    message["refusal"] = nullptr;
    Json out;
    out["index"] = index;
    out["message"] = std::move(message);
    out["logprobs"] = nullptr;
    if (options().logprobs) {
      out["logprobs"] = {{"content", std::move(choice.logprobs)}, {"refusal", nullptr}};
    }
    out["finish_reason"] = choice.finish_reason;
    return out;
  }

  void finish(const Usage& usage) override {
    Json body = options().head.json();
    body["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) body["choices"].push_back(choice_json(i));
    add_usage(body, usage);
    options().writer->send(json_response(body));
  }

  std::vector<Choice> choices_;
};

class StreamedChatAnswer final : public ChatAnswer {
 public:
  explicit StreamedChatAnswer(ChatAnswerOptions options)
      : ChatAnswer(std::move(options)),
        events_(this->options().writer),
        began_(this->options().choices, false) {}

  void on_start() override { events_.start(); }
  void on_error(const ApiError& error) override { events_.fail(error); }

 private:
  void chunk(size_t choice, Json delta, Json logprobs, Json finish_reason) {
    Json entry;
    entry["index"] = choice;
    entry["delta"] = std::move(delta);
    entry["logprobs"] = std::move(logprobs);
    entry["finish_reason"] = std::move(finish_reason);
    Json body = options().head.json();
    body["choices"] = Json::array({std::move(entry)});
    if (options().include_usage) body["usage"] = nullptr;
    events_.event(body);
  }

  void begin(size_t choice) {
    if (began_[choice]) return;
    began_[choice] = true;
    chunk(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  void emit(size_t choice, const char* field, std::string text, Json logprobs) override {
    begin(choice);
    Json delta;
    delta[field] = std::move(text);
    chunk(choice, std::move(delta), std::move(logprobs), nullptr);
  }

  void end_choice(size_t choice, Json logprobs, const char* reason) override {
    begin(choice);
    chunk(choice, Json::object(), std::move(logprobs), reason);
  }

  void finish(const Usage& usage) override {
    if (options().include_usage || usage.times) {
      Json body = options().head.json();
      body["choices"] = Json::array();
      add_usage(body, usage);
      events_.event(body);
    }
    events_.finish();
  }

  EventStream events_;
  std::vector<bool> began_;
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(ChatAnswerOptions options) {
  options.head.object = options.stream ? "chat.completion.chunk" : "chat.completion";
  if (options.stream) return std::make_unique<StreamedChatAnswer>(std::move(options));
  return std::make_unique<PlainChatAnswer>(std::move(options));
}

}  // namespace neuros::serve
