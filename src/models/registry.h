#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "plan/program.h"

#include <string>
#include <vector>

namespace neuros::models {

/// The checkpoint as a Program of fused ops. Fails for an unknown architecture (naming it and those
/// that are known), missing or contradictory metadata, and missing or misshapen tensors.
base::Result<plan::Program> make_program(const formats::Checkpoint& checkpoint);

/// Names of the architectures there are, as in `general.architecture`.
std::vector<std::string> known_architectures();

}  // namespace neuros::models
