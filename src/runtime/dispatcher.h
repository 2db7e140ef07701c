#pragma once

#include "runtime/engine.h"
#include "runtime/executor.h"
#include "runtime/live_process.h"
#include "runtime/mailbox.h"
#include "sched/scheduler.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace neuros::runtime {

/// The engine's own thread, as an object: takes mail, asks the scheduler for batches, runs them and
/// hands logits to their owners. Only stats() may be called from another thread.
class Dispatcher {
 public:
  /// `executor` and `mailbox` outlive the dispatcher.
  Dispatcher(const sched::SchedulerLimits& limits, Executor& executor, Mailbox& mailbox);

  /// Works until the mailbox says stop; then cancels what is left.
  void work();

  EngineStats stats() const;

 private:
  /// How one process came out of a batch.
  struct Outcome {
    sched::ItemResult result;
    bool ends = false;
    EndReason reason = EndReason::kFinished;
    std::string error;
  };
  struct Ending {
    LiveProcess process;
    ProcessEnd end;
  };

  void accept(Mail mail);
  void accept(Submission submission);
  void cancel(sched::ProcessId id);
  void run(const sched::Batch& batch);
  void note_start(const sched::Batch& batch, int64_t started_us);
  static Outcome failed(const std::string& error);
  Outcome deliver(const sched::BatchItem& item, int32_t logit_row);
  base::Result<Outcome> hand_over(const sched::BatchItem& item, int32_t logit_row,
                                  LiveProcess& process);
  base::Result<NextToken> next_token(ProcessClient& client, int32_t logit_row);
  /// Takes a process out of the table; its owner hears of it by tell().
  Ending end(sched::ProcessId id, EndReason reason, std::string error);
  void tell(Ending ending);
  void count(const sched::Batch& batch, int64_t busy_us);
  void publish();

  sched::Scheduler scheduler_;
  Executor& executor_;
  Mailbox& mailbox_;
  std::map<sched::ProcessId, LiveProcess> processes_;
  EngineStats stats_;
  mutable std::mutex published_mutex_;
  EngineStats published_;  ///< guarded by published_mutex_
};

}  // namespace neuros::runtime
