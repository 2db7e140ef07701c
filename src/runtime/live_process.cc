#include "runtime/live_process.h"

#include <algorithm>
#include <chrono>

namespace neuros::runtime {

int64_t now_us() {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count();
}

ProcessTimes LiveProcess::times(Moment end) const {
  const Moment begin = started.us >= 0 ? started : end;
  const Moment answer = answering.us >= 0 ? answering : end;
  // A wait for weights that was under way when the process came counts from its own begin.
  const auto without_swap = [](Moment from, Moment to) {
    return std::max<int64_t>(to.us - from.us - (to.swap_us - from.swap_us), 0);
  };
  ProcessTimes times{.queue_us = without_swap(submitted, begin),
                     .swap_us = end.us - submitted.us,
                     .prefill_us = without_swap(begin, answer),
                     .decode_us = without_swap(answer, end)};
  times.swap_us -= times.queue_us + times.prefill_us + times.decode_us;
  return times;
}

}  // namespace neuros::runtime
