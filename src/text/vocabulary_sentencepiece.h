#pragma once

#include "base/result.h"
#include "text/tokenizer.h"

#include <string_view>

namespace neuros::text {

/// Reads a SentencePiece model (`tokenizer.model`, `spiece.model`: the protobuf message ModelProto
/// of sentencepiece_model.proto), unigram or BPE. BPE puts BOS in front, unigram EOS at the end, as
/// Llama and T5 do; the file does not say.
base::Result<Vocabulary> vocabulary_from_sentencepiece(std::string_view bytes);

}  // namespace neuros::text
