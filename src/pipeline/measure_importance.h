#pragma once

#include "base/result.h"
#include "builder/importance.h"
#include "pipeline/calibration_text.h"
#include "pipeline/model_opening.h"
#include "plan/program.h"

#include <cstddef>

namespace neuros::pipeline {

/// Tokens of one pass of measure_importance: as many as the model can see at once, at most 512.
size_t calibration_part_tokens(const plan::Program& program);

/// Runs a model over a text on this machine's CPU, its weights in the types of its file, and takes
/// the mean squares of the inputs of its matrices. The same on any number of threads. The weights
/// are in memory until it returns; where they do not fit the error is kOutOfMemory. `text` was cut
/// into parts of calibration_part_tokens(). Errors name the text and the model. Of `options` it
/// takes the threads and on_progress.
base::Result<builder::Importance> measure_importance(const OpenedModel& model,
                                                     const CalibrationText& text,
                                                     const ModelOptions& options);

}  // namespace neuros::pipeline
