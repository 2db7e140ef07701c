#pragma once

#include "base/result.h"
#include "pipeline/answer.h"
#include "pipeline/language_model.h"

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::cli {

struct ChatOptions {
  std::string system;
  pipeline::SamplingParams sampling;
  int32_t max_tokens = 0;  ///< 0: what the context leaves
};

/// A conversation with its history. Earlier turns are not computed again: their KV pages are found
/// by prefix.
class Chat {
 public:
  Chat(pipeline::LanguageModel& model, ChatOptions options);
  ~Chat();

  /// Adds the user's turn and the model's answer to the history.
  base::Result<pipeline::Answer> say(const std::string& text,
                                     std::function<void(const std::string&)> on_piece);
  void forget();

 private:
  pipeline::LanguageModel& model_;
  ChatOptions options_;
  std::unique_ptr<nlohmann::ordered_json> messages_;
};

/// Continues a raw prompt without any template.
base::Result<pipeline::Answer> complete(pipeline::LanguageModel& model, const std::string& prompt,
                                        const ChatOptions& options,
                                        std::function<void(const std::string&)> on_piece);

}  // namespace neuros::cli
