#pragma once

#include "sched/process.h"

#include <vector>

namespace neuros::sched {

/// Processes that wait for a place: new ones and suspended ones. First of the order first.
class AdmissionQueue {
 public:
  void push(Process& process);
  void remove(const Process& process);
  /// The process whose turn it is, or null.
  Process* first(const Order& order) const;
  /// The same if `head` did not wait.
  Process* first_behind(const Process& head, const Order& order) const;

  int32_t size() const { return static_cast<int32_t>(waiting_.size()); }
  const std::vector<Process*>& all() const { return waiting_; }

 private:
  std::vector<Process*> waiting_;
};

}  // namespace neuros::sched
