#include "pipeline/answer.h"

#include <iterator>
#include <utility>

namespace neuros::pipeline {

AnswerCollector::AnswerCollector(std::function<void(const std::string&)> on_piece)
    : on_piece_(std::move(on_piece)) {}

void AnswerCollector::on_prompt(std::vector<TokenInfo> tokens) {
  const std::lock_guard lock(mutex_);
  answer_.prompt = std::move(tokens);
}

void AnswerCollector::on_text(std::string text, std::vector<TokenInfo> tokens) {
  if (on_piece_) on_piece_(text);
  const std::lock_guard lock(mutex_);
  answer_.text += text;
  std::move(tokens.begin(), tokens.end(), std::back_inserter(answer_.tokens));
}

void AnswerCollector::on_end(GenerationEnd end) {
  const std::lock_guard lock(mutex_);
  answer_.end = std::move(end);
  done_ = true;
  ended_.notify_all();
}

base::Result<Answer> AnswerCollector::wait() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return done_; });
  if (answer_.end.reason == FinishReason::kFailed) return base::fail(answer_.end.error);
  return std::move(answer_);
}

base::Result<Answer> answer(LanguageModel& model, GenerationRequest request,
                            std::function<void(const std::string&)> on_piece) {
  auto collector = std::make_shared<AnswerCollector>(std::move(on_piece));
  TRY(model.generate(std::move(request), collector));
  return collector->wait();
}

}  // namespace neuros::pipeline
