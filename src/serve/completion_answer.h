#pragma once

/// Answers of the legacy /v1/completions, plain and streamed.

#include "serve/answer_stream.h"
#include "serve/backend.h"

#include <memory>
#include <string>
#include <vector>

namespace neuros::serve {

struct CompletionAnswerOptions {
  AnswerHead head{};
  WriterPtr writer{};
  std::shared_ptr<const ServedModel> model{};  ///< null: a pipeline, without log-probabilities
  std::vector<std::string> echoes{};  ///< one per choice: the prompt's text with echo, else ""
  bool logprobs = false;
  bool echo_logprobs = false;  ///< the prompt's own come first, through on_prompt
  bool show_special = false;
  bool stream = false;
  bool include_usage = false;
};

std::unique_ptr<Answer> make_completion_answer(CompletionAnswerOptions options);

}  // namespace neuros::serve
