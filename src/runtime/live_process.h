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
  sched::Priority priority = sched::Priority::kMedium;
  int32_t prompt_tokens = 0, max_new_tokens = 0;
  int32_t generated_tokens = 0;
  /// A moment, and how long its model had waited for weights until then, in all.
  struct Moment {
    int64_t us = -1;  ///< -1: not yet
    int64_t swap_us = 0;
  };
  Moment submitted;
  Moment started;    ///< begin of its first batch
  Moment answering;  ///< when the logits of its first new token were there

  bool has_started() const { return started.us >= 0; }
  /// The parts of end.us - submitted.us.
  ProcessTimes times(Moment end) const;
};

}  // namespace neuros::runtime
