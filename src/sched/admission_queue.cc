#include "sched/admission_queue.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::sched {

void AdmissionQueue::push(Process& process) {
  waiting_.push_back(&process);
}

void AdmissionQueue::remove(const Process& process) {
  CHECK(std::erase(waiting_, &process) == 1);
}

Process* AdmissionQueue::first(const Order& order) const {
  const auto it = std::ranges::min_element(
      waiting_, [&](const Process* a, const Process* b) { return order.outranks(*a, *b); });
  return it == waiting_.end() ? nullptr : *it;
}

Process* AdmissionQueue::first_behind(const Process& head, const Order& order) const {
  Process* first = nullptr;
  for (Process* process : waiting_) {
    if (process == &head || (first && order.outranks(*first, *process))) continue;
    first = process;
  }
  return first;
}

}  // namespace neuros::sched
