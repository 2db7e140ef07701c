#pragma once

#include "text/tokenizer.h"

namespace neuros::text {

/// Completes what files leave unsaid about the end of an answer, by the well-known texts of such
/// tokens
/// ("<|im_end|>", "<|eot_id|>", ...), as llama.cpp does: sets `eot` if it is empty, adds every such
/// id with eos and eot to `end_of_generation` (sorted, once each) and makes those pieces control
/// pieces.
void find_end_of_generation(Vocabulary& vocabulary);

}  // namespace neuros::text
