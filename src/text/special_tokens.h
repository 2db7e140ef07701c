#pragma once

#include "base/function_ref.h"
#include "text/tokenizer.h"
#include "text/trie.h"

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace neuros::text {

/// Finds the tokens that are taken from a text before anything else: user-defined pieces always,
/// control and unknown pieces only with parse_special. Leftmost first, of those the longest.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  /// One stretch of a text: a special token, or (`id` empty) text to tokenise.
  struct Part {
    std::string_view text;
    std::optional<TokenId> id;
  };
  /// Calls `sink` for every part in order; empty texts are left out, and so is the white space that
  /// an lstrip or rstrip token swallows.
  void partition(std::string_view text, bool parse_special,
                 base::FunctionRef<void(const Part&)> sink) const;

 private:
  struct Strip {
    bool left = false, right = false;
  };
  Trie always_;                // user-defined pieces
  Trie special_;               // these and control and unknown pieces
  std::vector<Strip> strips_;  // by id; empty if no piece strips
};

}  // namespace neuros::text
