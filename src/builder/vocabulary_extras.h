#pragma once

/// What a vocabulary can say and GGUF's `tokenizer.*` keys cannot, as `neuros.tokenizer.*` keys.
/// Other programs skip them (docs/formats/checkpoint.md).

#include "base/result.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

#include <string_view>

namespace neuros::builder {

inline constexpr std::string_view kExtrasPrefix = "neuros.tokenizer.";

/// Sets a key for everything in which `plain`, as read from GGUF's own keys, is not `vocabulary`.
void write_vocabulary_extras(const text::Vocabulary& vocabulary, const text::Vocabulary& plain,
                             formats::Metadata& metadata);

/// Puts what the keys say into a vocabulary read from GGUF's own keys. Fails on values that the
/// writer would not have written.
base::Result<> read_vocabulary_extras(const formats::Metadata& metadata,
                                      text::Vocabulary& vocabulary);

}  // namespace neuros::builder
