#pragma once

#include "base/result.h"
#include "text/tokenizer.h"

#include <string>
#include <string_view>
#include <vector>

namespace neuros::text {

struct TiktokenOptions {
  std::string pre = "llama-bpe";            ///< which pre-tokenizer the model uses
  std::vector<std::string> special_tokens;  ///< get the ids after the last rank, in this order
  std::string bos, eos;                     ///< their texts; empty: none
  bool add_bos = false;
};

/// The 256 special tokens that Llama 3.1 and later append (Llama 3.0 names some of them
/// "reserved"), BOS in front.
TiktokenOptions llama3_tiktoken_options();

/// Reads a tiktoken file: per line a piece in base64, a space, its rank. Ranks are ids: each from 0
/// to the number of lines - 1 must occur once.
base::Result<Vocabulary> vocabulary_from_tiktoken(std::string_view text,
                                                  const TiktokenOptions& options);

}  // namespace neuros::text
