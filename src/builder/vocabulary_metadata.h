#pragma once

/// Vocabularies as the `tokenizer.*` keys of GGUF files (docs/formats/checkpoint.md).

#include "base/result.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

#include <cstdint>

namespace neuros::builder {

/// Sets the keys that describe `vocabulary`; pipeline/gguf_vocabulary.h reads them back into one
/// with identical encodings. Unused tokens fill it up to `rows`, those of the embedding table, as
/// other readers of GGUF expect. Ends of generation besides eos become `neuros.eos_token_ids`,
/// together with those already there. Merges are written out where the vocabulary has them implied
/// in its ranks, scores where it has them implied in its merges.
base::Result<> write_vocabulary(const text::Vocabulary& vocabulary, int64_t rows,
                                formats::Metadata& metadata);

}  // namespace neuros::builder
