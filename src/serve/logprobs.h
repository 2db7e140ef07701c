#pragma once

/// Log-probabilities in the two shapes clients read.

#include "serve/backend.h"
#include "serve/json_body.h"

#include <span>
#include <string>
#include <vector>

namespace neuros::serve {

/// A token's bytes as text; bytes that are no UTF-8 as "bytes:\xe2\x80", as OpenAI prints them.
std::string printable_token(const std::string& bytes);

/// Chat: one {token, logprob, bytes, top_logprobs} for each token.
Json chat_logprobs(const ServedModel& model, std::span<const pipeline::TokenInfo> tokens);

/// Legacy completions: four arrays with one entry a token. text_offset counts characters (code
/// points) from the start of the text that the choice returns.
class LegacyLogprobs {
 public:
  LegacyLogprobs(const ServedModel& model, bool show_special)
      : model_(model), show_special_(show_special) {}

  /// Tokens of the echoed prompt, whose text is `text`.
  void add_prompt(std::span<const pipeline::TokenInfo> tokens, const std::string& text);
  void add(std::span<const pipeline::TokenInfo> tokens);
  /// What was added since the last take(), and the offsets go on.
  Json take();
  bool empty() const { return tokens_.empty(); }

 private:
  void add(const pipeline::TokenInfo& token, std::string_view visible);

  const ServedModel& model_;
  bool show_special_;
  std::vector<pipeline::TokenInfo> tokens_;
  std::vector<int64_t> offsets_;
  int64_t characters_ = 0;  ///< begun so far
};

}  // namespace neuros::serve
