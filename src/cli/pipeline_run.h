#pragma once

#include "base/result.h"
#include "cli/answers.h"
#include "pipeline/pipeline_app.h"

namespace neuros::cli {

/// One answer of the stages of a pipeline that is up, or a chat, a line of standard input at a
/// time, when no prompt is given. `verbose`: with the stages and where their time went.
base::Result<> answer_by_stages(pipeline::PipelineApp& app, const AnswerFlags& flags, bool verbose);

}  // namespace neuros::cli
