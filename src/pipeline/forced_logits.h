#pragma once

#include "base/result.h"
#include "runtime/engine.h"

#include <cstdint>
#include <vector>

namespace neuros::pipeline {

/// Logits after each of `ids`, [ids, vocabulary]: of the first `prompt_tokens` as rows of a prompt,
/// of the others as decode steps that are told their tokens.
base::Result<std::vector<std::vector<float>>> forced_logits(runtime::Engine& engine,
                                                            const std::vector<int32_t>& ids,
                                                            int32_t prompt_tokens);

}  // namespace neuros::pipeline
