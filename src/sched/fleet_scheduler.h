#pragma once

/// Which model's pass runs next on a device that many share, and what weights are there: a
/// deterministic state machine like Scheduler, which batches the processes of one model. Events
/// with their times in, decisions out; no clock, no I/O, no threads.

#include "sched/fleet.h"
#include "sched/residency.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::sched {

/// What the pager does next; in order.
struct PagerMove {
  enum class Kind : uint8_t { kDrop, kLoad };
  Kind kind = Kind::kDrop;
  SegmentId segment;
  bool operator==(const PagerMove&) const = default;
};

/// Steps [first_step, end_step) of a model's pass. From 0 it is a new pass.
struct PassRun {
  ModelId model = 0;
  int32_t first_step = 0, end_step = 0;
  bool operator==(const PassRun&) const = default;
};

struct Decision {
  std::vector<PagerMove> moves;
  std::optional<PassRun> run;  ///< only where none is in flight; null: nothing to do until an event
};

struct FleetStats {
  uint64_t loads = 0, drops = 0, failed_loads = 0;
  uint64_t turns = 0;        ///< times that the memory went to another model
  uint64_t suspensions = 0;  ///< passes that stopped before their end
};

/// One model at a time has the turn: its segments are loaded first, in the order of its steps, and
/// whatever stands in the way goes, as little as will do. The turn goes by the priority of their
/// processes. Among equals it stays for dwell_us from when all of its weights are there, and at
/// least for as long as they took to come, then goes to who had it longest ago. Models whose
/// weights are all there run in turns meanwhile, and with the time that loads leave. A model that
/// did not run for wait_us_max is rescued: it comes before every priority for dwell_us. One is at a
/// time, and one in each wait_us_max, so that priorities hold when many wait for long.
class FleetScheduler {
 public:
  /// check_feasible(facts) holds.
  explicit FleetScheduler(FleetFacts facts);
  FleetScheduler(const FleetScheduler&) = delete;  // residency_ refers to facts_
  FleetScheduler& operator=(const FleetScheduler&) = delete;

  // Events. Time never goes back.
  void set_demand(ModelId model, const Demand& demand, int64_t now_us);
  /// From the start on nothing of the model is loaded and it does not run, until it is prepared.
  /// Before its first demand.
  void await_preparation(ModelId model);
  void prepared(ModelId model, int64_t now_us);
  /// A stage that uses the model is about to start: load it where nobody else needs the memory.
  void expect(ModelId model, bool expected, int64_t now_us);
  void loaded(SegmentId segment, int64_t now_us);
  /// The model does nothing more until its demand changes from work to none, or from none to work.
  void load_failed(SegmentId segment, int64_t now_us);
  /// The run in flight is over: it came to `end_step`, which is PassRun::end_step or, after
  /// should_stop(), before.
  void ran(int32_t end_step, int64_t now_us);
  /// The model's pass goes no further, because of an error; its next run is a new pass. Not while
  /// it is in flight.
  void abandon_pass(ModelId model);

  Decision decide(int64_t now_us);
  /// Between two steps of the run in flight: whether to stop here for somebody more urgent.
  bool should_stop(int64_t now_us) const;

  /// The model whose weights come first; -1: nobody wants to run.
  ModelId turn() const { return turn_.model; }
  /// The model that comes first because it did not run for so long; -1: none.
  ModelId rescued() const { return rescued_; }
  /// Whether a run is in flight: then a decision is about weights only.
  bool runs() const { return run_.has_value(); }
  /// Whether it has work and could not run because weights are not there, or not yet prepared.
  bool waits_for_weights(ModelId model) const {
    const Model& m = at(model);
    if (!m.prepared) return m.demand.work;
    return m.wants_to_run() && !in_flight(model) && !residency_.ready(model, m.step);
  }
  const Residency& residency() const { return residency_; }
  const FleetStats& stats() const { return stats_; }
  std::string check_invariants() const;

 private:
  struct Model {
    Demand demand;
    bool expected = false;
    bool prepared = true;
    bool failed = false;
    int32_t step = 0;  ///< where its pass goes on
    int64_t unserved_since_us = 0;
    int64_t used_us = 0;
    uint64_t last_turn = 0, last_run = 0;  ///< by counters; 0: never
    bool wants_to_run() const { return demand.work && prepared && !failed; }
  };
  struct Turn {
    ModelId model = -1;
    int64_t since_us = 0;
    int64_t until_us = -1;  ///< -1: it did not run yet with all that it needs
    bool in_time(int64_t now_us) const { return until_us < 0 || now_us < until_us; }
  };
  /// Victims are taken from the end of a list of these.
  using Models = std::vector<ModelId>;

  Model& at(ModelId model) { return models_.at(static_cast<size_t>(model)); }
  const Model& at(ModelId model) const { return models_.at(static_cast<size_t>(model)); }
  ModelId model_count() const { return static_cast<ModelId>(models_.size()); }
  void hear(int64_t now_us);
  int32_t steps_of(ModelId model) const {
    return facts_.models[static_cast<size_t>(model)].step_count();
  }
  int32_t segments_of(ModelId model) const {
    return static_cast<int32_t>(facts_.models[static_cast<size_t>(model)].segments.size());
  }
  int class_of(ModelId model) const;
  bool in_flight(ModelId model) const { return run_ && run_->model == model; }
  /// Whether its turn cannot be taken from it before its time.
  bool keeps_turn(const Models& order) const;
  /// All that want to run, the one with the turn first, then by class.
  Models standing() const;
  void choose_rescued();
  void pass_turn();

  /// Where the model's steps go on once the run in flight is over.
  int32_t next_step(ModelId model) const;
  /// Steps until the segment is read again.
  int32_t distance(SegmentId id) const;
  std::vector<SegmentId> missing(ModelId model) const;
  void plan_loads(const Models& order, std::vector<PagerMove>& moves);
  bool load_missing(ModelId model, const Models& order, std::vector<PagerMove>& moves);
  bool load(SegmentId id, const Models& order, std::vector<PagerMove>& moves);
  std::vector<SegmentId> victims(SegmentId beneficiary, const Models& order) const;
  std::vector<SegmentId> least_victims(SegmentId beneficiary, const Models& order) const;
  void append_idle(bool expected, std::vector<SegmentId>& list) const;
  void append_tail_first(ModelId model, std::vector<SegmentId>& list) const;
  void append_own(SegmentId beneficiary, std::vector<SegmentId>& list) const;

  /// Whether more of its weights are to come during its turn.
  bool waits_for_more(ModelId model) const;
  std::optional<PassRun> choose_run(const Models& order) const;
  bool can_run(ModelId model) const;
  int32_t ready_end(ModelId model) const;
  void start(const PassRun& run);
  /// Calls act(segment) for every segment that a step of the run reads.
  template <typename Act>
  void for_segments(const PassRun& run, Act act) const;

  const FleetFacts facts_;
  Residency residency_;
  std::vector<std::vector<std::vector<int32_t>>> readers_;  ///< [model][segment]: steps
  std::vector<bool>
      fits_;  ///< by model: beside what others have pinned there is room for all of it
  std::vector<Model> models_;
  std::optional<PassRun> run_;
  Turn turn_;
  ModelId rescued_ = -1;
  int64_t rescued_since_us_ = INT64_MIN / 2;  ///< the last that was
  uint64_t runs_ = 0;
  int64_t now_us_ = 0;
  FleetStats stats_;
};

}  // namespace neuros::sched
