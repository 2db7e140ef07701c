#pragma once

#include "base/result.h"
#include "runtime/doorbell.h"
#include "runtime/engine.h"
#include "sched/ids.h"

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace neuros::runtime {

struct Submission {
  sched::ProcessId id = 0;
  ProcessSpec spec;
  int64_t submitted_us = 0;
};

/// What came since the engine looked last.
struct Mail {
  std::vector<Submission> submissions;
  std::vector<sched::ProcessId> cancellations;
  bool stop = false;  ///< end every process and the thread
};

/// Of one model, between the threads that submit and the engine's own: the one thing both touch.
/// Every process is counted from submit() to ended(), and as waiting until left_queue().
class Mailbox {
 public:
  /// `doorbell` is rung when there is mail; it outlives the mailbox.
  Mailbox(int32_t queue_max, Doorbell& doorbell) : queue_max_(queue_max), doorbell_(doorbell) {}

  // From any thread:

  /// kUnavailable when closed, or when queue_max processes of this priority or a higher one wait:
  /// those of a lower one are refused first.
  base::Result<sched::ProcessId> submit(ProcessSpec spec);
  void cancel(sched::ProcessId id);
  /// submit() fails from now on.
  void close();
  /// close(), and Mail::stop.
  void stop();
  /// Returns when no process is left.
  void wait_until_idle();

  // From the engine's thread:

  Mail collect();
  /// A process is in its first batch, or ended without one. Once for each.
  void left_queue(sched::Priority priority);
  void ended();

 private:
  const int32_t queue_max_;
  Doorbell& doorbell_;
  std::mutex mutex_;
  std::condition_variable idle_;  ///< processes_ is 0
  // All guarded by mutex_:
  Mail mail_;
  bool closed_ = false;
  std::array<int32_t, sched::kPriorityNames.size()> waiting_{};  ///< by priority
  int32_t processes_ = 0;
  sched::ProcessId next_id_ = 1;
};

}  // namespace neuros::runtime
