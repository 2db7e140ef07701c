#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"

#include <string>

namespace neuros::builder {

/// What a model needs besides its weights, as a GGUF file without tensors: shape, vocabulary, chat
/// template, sampling defaults. Of a Hugging Face directory as its conversion (convert.h) has them.
base::Result<std::string> model_header(const formats::Checkpoint& checkpoint);

}  // namespace neuros::builder
