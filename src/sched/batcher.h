#pragma once

#include "sched/admission_queue.h"
#include "sched/kv_memory.h"
#include "sched/process.h"
#include "sched/rescue.h"
#include "sched/scheduler.h"

#include <cstdint>
#include <vector>

namespace neuros::sched {

/// Puts batches together: a row for each process that decodes, then prompts in chunks while there
/// are rows, admitting waiting processes as their turn comes; one of a higher priority takes the
/// place of one that runs. The running are at most so many that each can have a row and a logit row
/// in every batch; so the first of the order always moves.
class Batcher {
 public:
  /// `memory` and `queue` outlive the batcher.
  Batcher(const SchedulerLimits& limits, KvMemory& memory, AdmissionQueue& queue);

  /// The chunks of the next batch, with their pages granted. Empty only if nobody runs or waits.
  std::vector<Chunk> plan(int64_t now_us, int32_t rows_most);
  /// A process that runs ends: it gives its pages and its place back.
  void remove(Process& process);
  /// A process that runs begins again: nothing that is computed of it is believed.
  void restart(Process& process);

  const std::vector<Process*>& running() const { return running_; }
  int32_t running_max() const { return running_max_; }
  uint64_t suspensions() const { return suspensions_; }
  uint64_t tokens_reused() const { return tokens_reused_; }
  bool rescues(const Process& process) const { return process.sequence == rescue_.sequence(); }

 private:
  void admit_urgent(const Order& order, int64_t now_us);
  void plan_decodes(const Order& order);
  void plan_prefills(const Order& order, int64_t now_us);
  void plan_chunk(Process& process, const Order& order);
  /// Whether what it computes next is one token by itself.
  bool decodes(const Process& process) const;
  int32_t chunk_end(const Process& process) const;
  /// Whose turn it is to come in, if there is room; null: nobody waits.
  Process* next_waiting(const Order& order, int64_t now_us) const;
  /// Whether there is a place and the pages for all tokens the process has by now.
  bool can_admit(const Process& process) const;
  /// Whether there would be, if all who yield to it were suspended.
  bool can_make_room(const Process& process, const Order& order) const;
  /// Suspends so many of them; false where that was not enough.
  bool make_room(const Process& process, const Order& order);
  int32_t promised(const Process& running) const;
  void admit(Process& process, int64_t now_us);
  /// Skips the tokens whose pages are known; those of the host tier get pages of their own, if need
  /// be of processes further down the order. False if there was none.
  bool reuse(Process& process, const Order& order);
  /// Pages for the first `tokens` tokens, if need be of processes further down the order.
  /// Returns how many of those tokens have a page.
  int32_t secure(Process& process, int32_t tokens, const Order& order);
  Process* victim(const Process& beneficiary, const Order& order) const;
  void suspend(Process& process);
  void wait(Process& process);
  int32_t rows_left() const;
  int32_t logit_rows_left() const;

  SchedulerLimits limits_;
  int32_t running_max_;
  KvMemory& memory_;
  AdmissionQueue& queue_;
  Rescue rescue_;
  std::vector<Process*> running_;
  int32_t rows_ = 0;           ///< that the batch being put together may have
  std::vector<Chunk> chunks_;  ///< of it
  uint64_t suspensions_ = 0;
  uint64_t tokens_reused_ = 0;
};

}  // namespace neuros::sched
