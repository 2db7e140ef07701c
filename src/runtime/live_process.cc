#include "runtime/live_process.h"

#include <chrono>

namespace neuros::runtime {

int64_t now_us() {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count();
}

ProcessTimes LiveProcess::times(Moment end) const {
  const Moment begin = started.us >= 0 ? started : end;
  const Moment answer = answering.us >= 0 ? answering : end;
  const auto without_swap = [](Moment from, Moment to) {
    return to.us - from.us - (to.swap_us - from.swap_us);
  };
  return {.queue_us = without_swap(submitted, begin),
          .swap_us = end.swap_us - submitted.swap_us,
          .prefill_us = without_swap(begin, answer),
          .decode_us = without_swap(answer, end)};
}

}  // namespace neuros::runtime
