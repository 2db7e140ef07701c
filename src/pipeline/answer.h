#pragma once

#include "pipeline/language_model.h"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace neuros::pipeline {

struct Answer {
  std::string text;
  std::vector<TokenInfo> tokens;
  std::vector<TokenInfo> prompt;  ///< if prompt_logprobs was asked for
  GenerationEnd end;
};

/// A sink that collects a whole answer for a caller who waits for it.
class AnswerCollector final : public GenerationSink {
 public:
  /// `on_piece` is called with each piece of text from the engine's thread; may be empty.
  explicit AnswerCollector(std::function<void(const std::string&)> on_piece = {});

  void on_prompt(std::vector<TokenInfo> tokens) override;
  void on_text(std::string text, std::vector<TokenInfo> tokens) override;
  void on_end(GenerationEnd end) override;

  /// Waits for the end. An answer that failed is an error.
  base::Result<Answer> wait();

 private:
  std::function<void(const std::string&)> on_piece_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  Answer answer_;
};

/// Generates and waits.
base::Result<Answer> answer(LanguageModel& model, GenerationRequest request,
                            std::function<void(const std::string&)> on_piece = {});

}  // namespace neuros::pipeline
