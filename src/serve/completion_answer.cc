#include "serve/completion_answer.h"

#include "serve/logprobs.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

/// Puts the echo in front and gathers log-probabilities; plain and streamed take it from there.
class CompletionAnswer : public Answer {
 public:
  explicit CompletionAnswer(CompletionAnswerOptions options) : options_(std::move(options)) {
    for (size_t i = 0; options_.logprobs && i < options_.echoes.size(); ++i) {
      logprobs_.emplace_back(*options_.model, options_.show_special);
    }
    echoed_.resize(options_.echoes.size());
  }

  void on_prompt(size_t choice, std::vector<pipeline::TokenInfo> tokens) override {
    if (!options_.echo_logprobs) return;
    logprobs_[choice].add_prompt(tokens, options_.echoes[choice]);
    echo(choice);
  }

  void on_text(size_t choice, std::string text, std::vector<pipeline::TokenInfo> tokens) override {
    echo(choice);
    if (options_.logprobs) logprobs_[choice].add(tokens);
    if (!text.empty()) emit(choice, std::move(text));
  }

  void on_end(size_t choice, const pipeline::GenerationEnd& end) override {
    echo(choice);
    end_choice(choice, finish_name(end.reason));
  }

 protected:
  virtual void emit(size_t choice, std::string text) = 0;
  virtual void end_choice(size_t choice, const char* reason) = 0;

  /// Of the tokens since the last call; null if none were asked for.
  Json take_logprobs(size_t choice) {
    return options_.logprobs ? logprobs_[choice].take() : Json(nullptr);
  }
  Json choice_json(size_t choice, std::string text, Json finish_reason) {
    Json out;
    out["index"] = choice;
    out["text"] = std::move(text);
    out["logprobs"] = take_logprobs(choice);
    out["finish_reason"] = std::move(finish_reason);
    return out;
  }
  const CompletionAnswerOptions& options() const { return options_; }

 private:
  void echo(size_t choice) {
    if (echoed_[choice]) return;
    echoed_[choice] = true;
    if (!options_.echoes[choice].empty()) emit(choice, options_.echoes[choice]);
  }

  CompletionAnswerOptions options_;
  std::vector<LegacyLogprobs> logprobs_;
  std::vector<bool> echoed_;
};

class PlainCompletionAnswer final : public CompletionAnswer {
 public:
  explicit PlainCompletionAnswer(CompletionAnswerOptions options)
      : CompletionAnswer(std::move(options)),
        texts_(this->options().echoes.size()),
        reasons_(texts_.size()) {}

  void on_start() override {}
  void on_error(const ApiError& error) override { options().writer->send(error_response(error)); }
  void on_done(Usage usage) override {
    Json body = options().head.json();
    body["choices"] = Json::array();
    for (size_t i = 0; i < texts_.size(); ++i) {
      body["choices"].push_back(choice_json(i, std::move(texts_[i]), reasons_[i]));
    }
    add_usage(body, usage);
    options().writer->send(json_response(body));
  }

 private:
  void emit(size_t choice, std::string text) override { texts_[choice] += text; }
  void end_choice(size_t choice, const char* reason) override { reasons_[choice] = reason; }

  std::vector<std::string> texts_, reasons_;
};

class StreamedCompletionAnswer final : public CompletionAnswer {
 public:
  explicit StreamedCompletionAnswer(CompletionAnswerOptions options)
      : CompletionAnswer(std::move(options)), events_(this->options().writer) {}

  void on_start() override { events_.start(); }
  void on_error(const ApiError& error) override { events_.fail(error); }
  void on_done(Usage usage) override {
    if (options().include_usage || usage.times) {
      Json body = options().head.json();
      body["choices"] = Json::array();
      add_usage(body, usage);
      events_.event(body);
    }
    events_.finish();
  }

 private:
  void chunk(Json choice) {
    Json body = options().head.json();
    body["choices"] = Json::array({std::move(choice)});
    if (options().include_usage) body["usage"] = nullptr;
    events_.event(body);
  }
  void emit(size_t choice, std::string text) override {
    chunk(choice_json(choice, std::move(text), nullptr));
  }
  void end_choice(size_t choice, const char* reason) override {
    chunk(choice_json(choice, "", reason));
  }

  EventStream events_;
};

}  // namespace

std::unique_ptr<Answer> make_completion_answer(CompletionAnswerOptions options) {
  options.head.object = "text_completion";
  if (options.stream) return std::make_unique<StreamedCompletionAnswer>(std::move(options));
  return std::make_unique<PlainCompletionAnswer>(std::move(options));
}

}  // namespace neuros::serve
