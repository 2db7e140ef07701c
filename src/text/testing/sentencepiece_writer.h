#pragma once

#include "text/tokenizer.h"

#include <string>
#include <vector>

namespace neuros::text {

struct SentencePieceWriteOptions {
  int model_type = 1;  ///< 1: unigram, 2: BPE
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  std::string charsmap = {};
};

/// A SentencePiece model file (ModelProto) with these pieces, for tests.
std::string write_sentencepiece(const std::vector<Piece>& pieces,
                                const SentencePieceWriteOptions& options);

}  // namespace neuros::text
