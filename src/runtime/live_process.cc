#include "runtime/live_process.h"

#include <chrono>

namespace neuros::runtime {

int64_t now_us() {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count();
}

ProcessTimes LiveProcess::times(int64_t end_us) const {
  const int64_t started = started_us >= 0 ? started_us : end_us;
  const int64_t answering = answering_us >= 0 ? answering_us : end_us;
  return {.queue_us = started - submitted_us,
          .prefill_us = answering - started,
          .decode_us = end_us - answering};
}

}  // namespace neuros::runtime
