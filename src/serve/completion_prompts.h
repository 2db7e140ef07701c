#pragma once

/// The `prompt` field of legacy completions: string | string[] | int[] | int[][].

#include "serve/backend.h"
#include "serve/field_reader.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::serve {

struct CompletionPrompt {
  std::vector<int32_t> ids;
  std::string text;  ///< as given; decoded for a prompt of ids
};

/// At least one prompt, none empty of tokens. Errors stay in `fields`.
std::vector<CompletionPrompt> read_prompts(FieldReader& fields, const ServedModel& model);

/// Token ids below the vocabulary's size.
std::vector<int32_t> read_token_ids(FieldReader& fields, const std::string& name, const Json& ids,
                                    int32_t vocabulary_size);

}  // namespace neuros::serve
