#pragma once

#include "sched/process.h"

#include <cstdint>
#include <vector>

namespace neuros::sched {

/// Helps who waited too long, so that nobody starves: one process at a time, until it ends, and the
/// next no sooner than wait_us_max behind. So a backlog of old requests overturns no priority.
class Rescue {
 public:
  explicit Rescue(int64_t wait_us_max) : wait_us_max_(wait_us_max) {}

  /// To be called with all processes there are before process() is asked for: goes on with the one
  /// that is helped, or begins with the oldest of the overdue, if it is time.
  void choose(const std::vector<Process*>& running, const std::vector<Process*>& waiting,
              int64_t now_us);
  /// Who is helped; null: nobody.
  const Process* process() const { return process_; }
  uint64_t sequence() const { return sequence_; }
  /// Whether critical processes may come in before it, as long as there is no room for it.
  bool lets_critical_pass(int64_t now_us) const { return now_us < since_us_ + wait_us_max_; }

 private:
  bool overdue(const Process& process, int64_t now_us) const;

  const int64_t wait_us_max_;
  const Process* process_ = nullptr;
  uint64_t sequence_ = UINT64_MAX;  ///< of the process; it may be gone by now
  int64_t since_us_ = INT64_MIN / 2;
};

}  // namespace neuros::sched
