#include "sched/rescue.h"

namespace neuros::sched {

/// One with a place is overdue where it got no rows for so long; one without, where all its waits
/// together were so long, or it might be sent back to the queue for ever.
bool Rescue::overdue(const Process& process, int64_t now_us) const {
  const int64_t waited_us =
      process.running ? now_us - process.idle_since_us : process.waited_until(now_us);
  return !process.in_flight && waited_us >= wait_us_max_;
}

void Rescue::choose(const std::vector<Process*>& running, const std::vector<Process*>& waiting,
                    int64_t now_us) {
  process_ = nullptr;
  const Process* oldest = nullptr;
  for (const auto* list : {&running, &waiting}) {
    for (const Process* process : *list) {
      if (process->sequence == sequence_) process_ = process;
      const bool older = !oldest || process->sequence < oldest->sequence;
      if (older && overdue(*process, now_us)) oldest = process;
    }
  }
  if (process_ || !oldest || now_us < since_us_ + wait_us_max_) return;
  process_ = oldest;
  sequence_ = oldest->sequence;
  since_us_ = now_us;
}

}  // namespace neuros::sched
