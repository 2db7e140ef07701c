#pragma once

#include "base/result.h"
#include "builder/convert_plan.h"
#include "formats/checkpoint.h"

#include <cstdint>

namespace neuros::builder {

/// Adds the tokenizer of an HF directory to a plan's metadata, with a note if other programs will
/// not read all of it, or if the directory has none. `rows` are those of token_embd.weight.
base::Result<> add_vocabulary(const formats::Checkpoint& checkpoint, int64_t rows,
                              ConvertPlan& plan);

}  // namespace neuros::builder
