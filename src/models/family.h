#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "plan/program.h"

namespace neuros::models {

/// One entry of the registry: an architecture's name and how its checkpoints become programs.
struct Family {
  const char* architecture;
  base::Result<plan::Program> (*make_program)(const formats::Checkpoint&);
};

base::Result<plan::Program> make_llama(const formats::Checkpoint& checkpoint);
base::Result<plan::Program> make_qwen2(const formats::Checkpoint& checkpoint);
base::Result<plan::Program> make_qwen3(const formats::Checkpoint& checkpoint);

}  // namespace neuros::models
