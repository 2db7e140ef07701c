#pragma once

#include "runtime/engine.h"

#include <cstdint>
#include <memory>

namespace neuros::runtime {

/// Microseconds of a clock that never goes back.
int64_t now_us();

/// A process between submit and on_end, as its engine sees it.
struct LiveProcess {
  std::shared_ptr<ProcessClient> client;
  int32_t prompt_tokens = 0, max_new_tokens = 0;
  int32_t generated_tokens = 0;
  int64_t submitted_us = 0;
  int64_t started_us = -1;    ///< begin of its first batch
  int64_t answering_us = -1;  ///< when the logits of its first new token were there

  bool started() const { return started_us >= 0; }
  /// The parts of end_us - submitted_us.
  ProcessTimes times(int64_t end_us) const;
};

}  // namespace neuros::runtime
