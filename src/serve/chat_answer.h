#pragma once

/// Answers of /v1/chat/completions, plain and streamed.

#include "serve/answer_stream.h"
#include "serve/backend.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace neuros::serve {

struct ChatAnswerOptions {
  AnswerHead head{};
  WriterPtr writer{};
  std::shared_ptr<const ServedModel> model{};  ///< null: a pipeline, without log-probabilities
  size_t choices = 1;
  bool logprobs = false;
  bool stream = false;
  bool include_usage = false;  ///< of a stream; plain answers always have it
  /// Tags a thinking model wraps its reasoning in; nullopt: everything is content.
  std::optional<std::pair<std::string, std::string>> reasoning_tags{};
  bool starts_inside_reasoning = false;  ///< the prompt already ended with the opening tag
};

std::unique_ptr<Answer> make_chat_answer(ChatAnswerOptions options);

}  // namespace neuros::serve
