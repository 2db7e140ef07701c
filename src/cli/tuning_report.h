#pragma once

#include "base/result.h"
#include "pipeline/kernel_tuning.h"

#include <string>

namespace neuros::cli {

/// Measures a table of kernel choices with a progress bar, says what became of it, and writes it to
/// `output` unless that is empty.
base::Result<> tune(pipeline::TuningOptions options, const std::string& output, bool json);

}  // namespace neuros::cli
