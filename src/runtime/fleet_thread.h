#pragma once

#include "runtime/dispatcher.h"
#include "runtime/doorbell.h"
#include "runtime/executor.h"
#include "runtime/fleet_observer.h"
#include "runtime/pager.h"
#include "runtime/preparation.h"
#include "sched/fleet_scheduler.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace neuros::runtime {

/// Where the segments of a model are now.
struct ModelResidency {
  std::vector<sched::Residency::State> segments;
  int64_t swap_us = 0;  ///< that its processes waited for weights, in all
};

struct FleetSnapshot {
  int32_t frames = 0, free_frames = 0;
  int32_t turn = -1;  ///< the model whose weights come first; -1: nobody has work
  sched::FleetStats stats;
  PagerStats pager;
  std::vector<ModelResidency> models;
};

/// The thread of all models of a device, as an object: takes mail, asks the fleet's scheduler what
/// runs and what weights come and go, has executors and the pager do it. Only report(),
/// prepared(), expect() and snapshot() may be called from other threads.
class FleetThread {
 public:
  struct Model {
    Executor* executor = nullptr;
    Dispatcher* dispatcher = nullptr;
    bool prepared = true;  ///< false: prepared() tells when, and nothing of it runs before
  };

  /// `pager` is null where all weights are there from boot on; else it numbers the models alike.
  /// Everything outlives the thread.
  FleetThread(sched::FleetFacts facts, std::vector<Model> models, Pager* pager, Doorbell& doorbell,
              FleetObserver* observer = nullptr);

  /// Tells of the demand for models that are not prepared. Before work(); outlives that.
  void follow(Preparation& preparation) { preparation_ = &preparation; }

  /// Works until a mailbox says stop; then cancels what is left.
  void work();

  void report(const PagerReport& report);
  /// A model that was not is ready to run; or it failed, and all its processes end with the error.
  void prepared(int32_t model, base::Result<> result);
  void expect(int32_t model, bool expected);
  FleetSnapshot snapshot() const;

 private:
  struct Member {
    Model model;
    sched::Demand told;
    int64_t pass_busy_us = 0;                  ///< of the pass, up to now
    int64_t decode_rows = 0, prompt_rows = 0;  ///< the same
    int64_t decode_us = 0;                     ///< of the last pass without prompts
    int64_t prompt_rows_per_ms = 0;            ///< of a step, in the last pass of a long prompt
    int64_t blocked_since_us = -1;
    int64_t swap_us = 0;
    std::string load_error;  ///< its processes end with it as soon as it does not run
    std::string boot_error;  ///< they end with it, now and later
  };

  /// False once a mailbox says stop.
  bool take_mail();
  void take_reports();
  /// With mutex_ held, on any thread: weights that somebody waits for do not wait for the end of
  /// the run in flight. Those that are only expected do, as what comes slows down what runs.
  void page_meanwhile();
  bool somebody_waits() const;
  void take_preparations();
  void end_broken();
  void tell_demands();
  void count_swap(int64_t now_us);
  std::optional<sched::PassRun> decide();
  void carry_out(std::span<const sched::PagerMove> moves);

  void run(const sched::PassRun& run);
  void tell_of(const sched::PassRun& run, int32_t came_to, int64_t started_us);
  base::Result<int32_t> compute(const sched::PassRun& run);
  /// Whether a pass of this batch can stop between two steps.
  bool can_stop(const Member& member, const sched::Batch& batch) const;
  bool runs_ahead(const Member& member) const;
  int32_t rows_most(const Member& member) const;
  static void learn_times(Member& member, int64_t busy_us);
  bool critical_about() const;
  base::Result<int32_t> compute_steps(Executor& executor, const sched::PassRun& run);
  bool go_on();
  Member& at(int32_t model) { return members_.at(static_cast<size_t>(model)); }

  const sched::FleetFacts facts_;
  Pager* const pager_;
  Doorbell& doorbell_;
  FleetObserver* const observer_;  ///< null: nobody listens
  Preparation* preparation_ = nullptr;
  std::vector<Member> members_;
  int32_t running_ = -1;
  int64_t critical_us_ = INT64_MIN / 2;  ///< when a critical process was last there
  bool stopping_ = false;

  mutable std::mutex mutex_;  ///< guards what follows, and swap_us of members
  sched::FleetScheduler scheduler_;
  std::vector<PagerReport> reports_;  ///< that the scheduler knows of already
  std::vector<std::pair<int32_t, base::Result<>>> preparations_;
};

}  // namespace neuros::runtime
