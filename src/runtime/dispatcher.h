#pragma once

#include "plan/plan.h"
#include "runtime/engine.h"
#include "runtime/executor.h"
#include "runtime/live_process.h"
#include "runtime/mailbox.h"
#include "sched/scheduler.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace neuros::runtime {

/// The processes of one model, on the engine's thread: takes mail, gives passes their batches, and
/// hands logits to their owners. Only stats() may be called from another thread.
class Dispatcher {
 public:
  /// `executor` and `mailbox` outlive the dispatcher.
  Dispatcher(const plan::Plan& plan, Executor& executor, Mailbox& mailbox);

  /// Takes what came. False once the mailbox says stop.
  bool take_mail();
  sched::Demand demand() const { return scheduler_.demand(); }

  /// The batch of a new pass, which stays until finish_pass(). There is demand, and no pass.
  /// `rows_most` as in Scheduler::next_batch().
  const sched::Batch& begin_pass(int32_t rows_most);
  /// The executor computed the batch, or failed to; what it took.
  void finish_pass(const base::Result<>& computed, int64_t busy_us);
  /// Ends every process; a pass goes no further.
  void end_all(EndReason reason, const std::string& error);
  /// Takes no more mail, and cancels what came until now: a process that was submitted is told of
  /// its end, whenever that was.
  void shut_down();

  /// Of late the processes waited so long for the model's weights.
  void add_swap(int64_t us) { swap_us_ += us; }

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

  void accept(Submission submission);
  /// The process of each item; null where it was cancelled meanwhile.
  std::vector<LiveProcess*> owners_of(const sched::Batch& batch);
  /// The processes of the pass end.
  void fail_pass(const std::string& error);
  void cancel(sched::ProcessId id);
  void note_start(const sched::Batch& batch, int64_t started_us);
  static Outcome failed(const std::string& error);
  Outcome deliver(const sched::BatchItem& item, int32_t logit_row, LiveProcess& process);
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
  std::unordered_map<sched::ProcessId, LiveProcess> processes_;
  std::optional<sched::Batch> batch_;  ///< of the pass
  int64_t swap_us_ = 0;  ///< that there were processes and they waited for weights, in all
  EngineStats stats_;
  mutable std::mutex published_mutex_;
  EngineStats published_;  ///< guarded by published_mutex_
};

}  // namespace neuros::runtime
