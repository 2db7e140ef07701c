#pragma once

/// Many sequences decoding together.

#include "base/result.h"
#include "plan/plan.h"
#include "runtime/engine.h"

#include <cstdint>

namespace neuros::pipeline {

struct StreamRequest {
  int32_t streams = 0;
  int32_t prompt_tokens = 512;    ///< of each
  int32_t generated_tokens = 64;  ///< of each, while all decode
};

struct StreamResult {
  double tokens_per_s = 0;  ///< of all streams together
  double step_us = 0;       ///< one token for each
  double positions = 0;     ///< of one stream, on average: what its attention reads
};

/// Positions one stream may need: streams whose prompts come first decode while the others' prompts
/// are computed, in passes of `batch_tokens` rows.
int32_t stream_context(const StreamRequest& request, int32_t batch_tokens);

/// Times the steps from when the last stream has its first token. The plan has pages for all, and
/// one more for each.
base::Result<StreamResult> run_streams(runtime::Engine& engine, const StreamRequest& request);

/// What one step of all streams reads at least: the weights once, and every stream's keys and
/// values.
double stream_step_bytes(const plan::Plan& plan, const StreamRequest& request, double positions);

}  // namespace neuros::pipeline
