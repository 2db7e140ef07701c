#pragma once

#include "text/tokenizer.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace neuros::text {

/// What a pre-tokenizer's name in GGUF (`tokenizer.ggml.pre`) stands for.
struct KnownPreTokenizer {
  std::vector<SplitStep> steps;
  bool ignore_merges = false;  ///< the models of this name take whole words from the vocabulary
  bool add_bos = false;        ///< ... and put BOS in front unless the file says otherwise
};

/// nullopt for a name this build does not know. "" is "default".
std::optional<KnownPreTokenizer> find_pre_tokenizer(std::string_view name);

/// The first name whose steps are exactly these; "" if none.
std::string_view name_of_pre_tokenizer(std::span<const SplitStep> steps);

}  // namespace neuros::text
