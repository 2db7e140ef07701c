#include "sched/fleet_simulator.h"

#include "sched/fleet_scheduler.h"
#include "sched/fleet_workload.h"
#include "sched/scheduler.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace neuros::sched {
namespace {

constexpr int32_t kPageTokens = 4;

/// What the simulator knows of a model, kept apart from what the schedulers know.
struct SimModel {
  std::unique_ptr<Scheduler> scheduler;
  std::optional<Batch> batch;  ///< of its pass
  int32_t step = 0;            ///< that its pass comes to next
  std::map<ProcessId, Priority> processes;
  int64_t unserved_since_us = 0;
  bool broken = false;  ///< a load failed; its processes end when it does not run
  bool prepared = true;
  std::vector<bool> there;
};

struct Load {
  SegmentId segment;
  int64_t done_us = 0;
  bool fails = false;
};

class FleetSimulation {
 public:
  FleetSimulation(uint64_t seed, FleetBug bug);
  FleetReport run();

 private:
  FleetFacts told_facts() const;

  SimModel& at(ModelId model) { return models_.at(static_cast<size_t>(model)); }
  const SimModel& at(ModelId model) const { return models_.at(static_cast<size_t>(model)); }
  const ModelFacts& facts(ModelId model) const {
    return facts_.models.at(static_cast<size_t>(model));
  }
  const ModelCosts& costs(ModelId model) const {
    return workload_.costs.at(static_cast<size_t>(model));
  }
  int64_t prepared_us(ModelId model) const {
    return workload_.prepared_us.at(static_cast<size_t>(model));
  }
  ModelId count() const { return static_cast<ModelId>(models_.size()); }

  void fail(const std::string& what) {
    if (report_.error.empty()) report_.error = "at " + std::to_string(now_us_) + " us: " + what;
  }
  void require(bool holds, const char* what, ModelId model) {
    if (!holds) fail("model " + std::to_string(model) + ": " + what);
  }
  void trace(uint64_t value) { report_.trace = (report_.trace ^ value) * 0x9e3779b97f4a7c15U; }

  std::optional<int64_t> next_event_us() const;
  /// Everything that happens up to a time, each with a decision behind it.
  void advance_to(int64_t time_us);
  void handle_one_event();
  void arrive();
  void cancel_due();
  void finish_load();
  bool prepare_due();
  void break_model(ModelId model);
  void tell_demand(ModelId model);

  void decide();
  std::vector<PagerMove> with_bug(std::vector<PagerMove> moves);
  void apply(const std::vector<PagerMove>& moves);
  void drop(SegmentId segment);
  void load(SegmentId segment);
  void check_least(const std::vector<PagerMove>& moves, int32_t free);
  void check_rescue(const Decision& decision);
  void check_turn();

  void start(PassRun run);
  void check_choice(const PassRun& run);
  void step_to(int32_t step);
  void check_step(int32_t step);
  void finish_run(int32_t end_step);
  void finish_pass(SimModel& model);
  void check_waits();
  void check_end();

  bool has_work(ModelId model) const { return !at(model).processes.empty(); }
  bool wants(ModelId model) const {
    return has_work(model) && at(model).prepared && !at(model).broken;
  }
  Priority top(ModelId model) const;
  int class_of(ModelId model) const;
  bool rescued(ModelId model) const { return model == rescued_; }
  bool fits(ModelId model) const;
  bool reads(ModelId model, int32_t first, int32_t end, int32_t segment) const;
  bool all_there(ModelId model, int32_t first, int32_t end) const;
  bool in_use(SegmentId segment) const;

  Random random_;
  const FleetBug bug_;
  const FleetWorkload workload_;
  const FleetFacts& facts_ = workload_.facts;
  std::vector<SimModel> models_;
  std::deque<FleetArrival> coming_;
  std::vector<std::pair<int64_t, std::pair<ModelId, ProcessId>>> cancels_;
  std::unique_ptr<FleetScheduler> fleet_;
  std::deque<Load> loads_;
  int64_t pager_free_us_ = 0;
  int32_t used_frames_ = 0;
  std::optional<PassRun> run_;
  int32_t run_step_ = 0;
  ModelId turn_ = -1, rescued_ = -1;
  int64_t turn_ran_us_ = -1;
  int64_t rescued_since_us_ = INT64_MIN / 2;
  int64_t now_us_ = 0;
  FleetReport report_;
};

FleetSimulation::FleetSimulation(uint64_t seed, FleetBug bug)
    : random_(seed * 2 + 1),
      bug_(bug),
      workload_(draw_fleet(random_)),
      coming_(workload_.arrivals) {
  report_.streamed = workload_.streams ? 1 : 0;
  for (const ModelFacts& facts : facts_.models) {
    SimModel& model = models_.emplace_back();
    model.there.resize(facts.segments.size());
    model.scheduler = std::make_unique<Scheduler>(SchedulerLimits{.context = 60,
                                                                  .batch_tokens = 12,
                                                                  .sequences = 4,
                                                                  .logit_rows = 4,
                                                                  .pages = 30,
                                                                  .page_tokens = kPageTokens,
                                                                  .queue = 100});
  }
  fleet_ = std::make_unique<FleetScheduler>(told_facts());
  for (ModelId m = 0; m < count(); ++m) {
    at(m).prepared = prepared_us(m) == 0;
    if (!at(m).prepared) fleet_->await_preparation(m);
  }
}

FleetFacts FleetSimulation::told_facts() const {
  FleetFacts told = facts_;
  if (bug_ == FleetBug::kNoRescue) told.wait_us_max = int64_t{1} << 60;
  if (bug_ == FleetBug::kEarlyRescue) told.wait_us_max /= 2;
  if (bug_ == FleetBug::kNoDwell) told.dwell_us = 0;
  return told;
}

// Events.

std::optional<int64_t> FleetSimulation::next_event_us() const {
  std::optional<int64_t> next;
  const auto consider = [&](int64_t time_us) { next = std::min(next.value_or(time_us), time_us); };
  if (!coming_.empty()) consider(coming_.front().time_us);
  if (!loads_.empty()) consider(loads_.front().done_us);
  for (const auto& [time_us, who] : cancels_) consider(time_us);
  for (ModelId m = 0; m < count(); ++m) {
    if (!at(m).prepared) consider(prepared_us(m));
  }
  return next;
}

void FleetSimulation::advance_to(int64_t time_us) {
  for (auto next = next_event_us(); next && *next <= time_us && report_.error.empty();
       next = next_event_us()) {
    now_us_ = std::max(now_us_, *next);
    handle_one_event();
    decide();
  }
  now_us_ = std::max(now_us_, time_us);
}

void FleetSimulation::handle_one_event() {
  if (!loads_.empty() && loads_.front().done_us <= now_us_) return finish_load();
  if (!coming_.empty() && coming_.front().time_us <= now_us_) return arrive();
  if (prepare_due()) return;
  cancel_due();
}

bool FleetSimulation::prepare_due() {
  for (ModelId m = 0; m < count(); ++m) {
    if (at(m).prepared || prepared_us(m) > now_us_) continue;
    at(m).prepared = true;
    at(m).unserved_since_us = now_us_;
    fleet_->prepared(m, now_us_);
    return true;
  }
  return false;
}

void FleetSimulation::arrive() {
  FleetArrival arrival = std::move(coming_.front());
  coming_.pop_front();
  SimModel& model = at(arrival.model);
  const ProcessId id = arrival.process.id;
  if (model.processes.empty()) model.unserved_since_us = now_us_;
  model.processes.emplace(id, arrival.process.priority);
  if (arrival.cancel_us) cancels_.push_back({*arrival.cancel_us, {arrival.model, id}});
  const Admission admission = model.scheduler->arrive(std::move(arrival.process), now_us_);
  require(admission == Admission::kQueued, "a process was refused", arrival.model);
  tell_demand(arrival.model);
  if (random_.one_in(4)) {
    fleet_->expect(random_.between(0, count() - 1), !random_.one_in(3), now_us_);
  }
}

void FleetSimulation::cancel_due() {
  const auto due = std::ranges::find_if(
      cancels_, [this](const auto& cancel) { return cancel.first <= now_us_; });
  if (due == cancels_.end()) return;
  const auto [model, id] = due->second;
  cancels_.erase(due);
  if (!at(model).scheduler->cancel(id)) return;  // it ended before
  ++report_.cancelled;
  if (!at(model).scheduler->info(id)) at(model).processes.erase(id);
  tell_demand(model);
}

void FleetSimulation::finish_load() {
  const Load load = loads_.front();
  loads_.pop_front();
  SimModel& model = at(load.segment.model);
  if (!load.fails || bug_ == FleetBug::kFailureIsSuccess) {
    model.there[static_cast<size_t>(load.segment.segment)] = !load.fails;
    return fleet_->loaded(load.segment, now_us_);
  }
  used_frames_ -= facts_.segment(load.segment).frames;
  ++report_.failed_loads;
  fleet_->load_failed(load.segment, now_us_);
  if (!has_work(load.segment.model)) return;
  model.broken = true;
  if (!run_ || run_->model != load.segment.model) break_model(load.segment.model);
}

/// Its processes end with the error.
void FleetSimulation::break_model(ModelId id) {
  SimModel& model = at(id);
  const auto processes = model.processes;
  for (const auto& [process, priority] : processes) {
    report_.failed += model.scheduler->cancel(process) ? 1 : 0;
  }
  if (model.batch) {
    model.scheduler->batch_failed(now_us_);
    model.batch.reset();
    model.step = 0;
    fleet_->abandon_pass(id);
  }
  model.processes.clear();
  model.broken = false;
  tell_demand(id);
}

void FleetSimulation::tell_demand(ModelId model) {
  Demand demand = at(model).scheduler->demand();
  require(demand.work == has_work(model), "its work is not known", model);
  if (bug_ == FleetBug::kForgottenModel && model == 0) demand.work = false;
  if (bug_ == FleetBug::kNoPriorities) demand.top = Priority::kLow;
  fleet_->set_demand(model, demand, now_us_);
}

// Decisions.

void FleetSimulation::decide() {
  if (!report_.error.empty()) return;
  const Decision decision = fleet_->decide(now_us_);
  check_rescue(decision);
  check_turn();
  for (const PagerMove& move : decision.moves) {
    trace(static_cast<uint64_t>(move.segment.model * 100 + move.segment.segment) * 2 +
          (move.kind == PagerMove::Kind::kLoad ? 1 : 0));
  }
  apply(with_bug(decision.moves));
  const std::string wrong = fleet_->check_invariants();
  if (!wrong.empty()) fail(wrong);
  if (!decision.run || !report_.error.empty()) return;
  if (run_) return fail("two runs at a time");
  start(*decision.run);
}

std::vector<PagerMove> FleetSimulation::with_bug(std::vector<PagerMove> moves) {
  const auto first_drop = std::ranges::find(moves, PagerMove::Kind::kDrop, &PagerMove::kind);
  const auto find_segment = [&](auto accepts) {
    for (ModelId m = 0; m < count(); ++m) {
      for (int32_t s = 0; s < static_cast<int32_t>(at(m).there.size()); ++s) {
        if (at(m).there[static_cast<size_t>(s)] && accepts(SegmentId{m, s})) {
          return std::optional(SegmentId{m, s});
        }
      }
    }
    return std::optional<SegmentId>();
  };
  std::optional<PagerMove> planted;
  const auto plant = [&](PagerMove::Kind kind, std::optional<SegmentId> segment) {
    if (segment) planted = PagerMove{kind, *segment};
  };
  if (bug_ == FleetBug::kLoadBeforeDrop) std::ranges::reverse(moves);
  if (bug_ == FleetBug::kSkippedDrop && first_drop != moves.end()) moves.erase(first_drop);
  if (bug_ == FleetBug::kNeedlessDrop && first_drop != moves.end()) {
    plant(PagerMove::Kind::kDrop, find_segment([&](SegmentId id) {
            return !in_use(id) && !facts_.segment(id).pinned &&
                   std::ranges::find(moves, id, &PagerMove::segment) == moves.end();
          }));
  }
  if (bug_ == FleetBug::kDropInUse) {
    plant(PagerMove::Kind::kDrop,
          find_segment([&](SegmentId id) { return in_use(id) && !facts_.segment(id).pinned; }));
  }
  if (bug_ == FleetBug::kDropPinned) {
    plant(PagerMove::Kind::kDrop,
          find_segment([&](SegmentId id) { return facts_.segment(id).pinned; }));
  }
  if (bug_ == FleetBug::kDoubleLoad) {
    plant(PagerMove::Kind::kLoad, find_segment([](SegmentId) { return true; }));
  }
  if (planted) moves.insert(moves.begin(), *planted);
  return moves;
}

void FleetSimulation::apply(const std::vector<PagerMove>& moves) {
  const int32_t free = facts_.frames - used_frames_;
  for (size_t i = 0; i < moves.size() && report_.error.empty(); ++i) {
    if (moves[i].kind == PagerMove::Kind::kLoad) {
      load(moves[i].segment);
      continue;
    }
    const auto behind =
        std::find_if(moves.begin() + static_cast<std::ptrdiff_t>(i), moves.end(),
                     [](const PagerMove& move) { return move.kind == PagerMove::Kind::kLoad; });
    drop(moves[i].segment);
    if (behind == moves.end()) return fail("a drop for nobody");
    const bool first =
        behind->segment.model == fleet_->turn() || facts_.segment(behind->segment).pinned;
    require(first || !wants(moves[i].segment.model), "loses memory to who has no right to it",
            moves[i].segment.model);
  }
  check_least(moves, free);
}

/// Without any one of the drops, the load behind them does not fit.
void FleetSimulation::check_least(const std::vector<PagerMove>& moves, int32_t free) {
  std::vector<int32_t> freed;
  for (const PagerMove& move : moves) {
    const int32_t frames = facts_.segment(move.segment).frames;
    if (move.kind == PagerMove::Kind::kDrop) {
      freed.push_back(frames);
      free += frames;
      continue;
    }
    for (const int32_t one : freed) {
      if (free - one >= frames) fail("dropped more than needed");
    }
    freed.clear();
    free -= frames;
  }
}

void FleetSimulation::drop(SegmentId id) {
  SimModel& model = at(id.model);
  require(model.there[static_cast<size_t>(id.segment)], "drops what is not there", id.model);
  require(!facts_.segment(id).pinned, "drops a pinned segment", id.model);
  require(!in_use(id), "drops a segment in use", id.model);
  model.there[static_cast<size_t>(id.segment)] = false;
  used_frames_ -= facts_.segment(id).frames;
  ++report_.drops;
}

/// One is helped at a time, after its wait, and the next not at once.
void FleetSimulation::check_rescue(const Decision& decision) {
  const ModelId rescued = fleet_->rescued();
  const auto overdue = [&](ModelId m) {
    const bool runs = run_ ? run_->model == m : decision.run && decision.run->model == m;
    return !runs && wants(m) && now_us_ - at(m).unserved_since_us >= facts_.wait_us_max;
  };
  const bool may_begin = now_us_ >= rescued_since_us_ + facts_.wait_us_max;
  if (rescued >= 0 && rescued != rescued_) {
    const bool waited = now_us_ - at(rescued).unserved_since_us >= facts_.wait_us_max;
    require(waited && may_begin, "rescued too soon", rescued);
    rescued_since_us_ = now_us_;
  }
  rescued_ = rescued;
  for (ModelId m = 0; rescued < 0 && may_begin && m < count(); ++m) {
    require(!overdue(m), "overdue and not rescued", m);
  }
}

/// The turn goes on to a model of the same class only after its time.
void FleetSimulation::check_turn() {
  const ModelId turn = fleet_->turn();
  if (turn == turn_) return;
  if (turn_ >= 0 && turn >= 0 && wants(turn_)) {
    const bool in_time = turn_ran_us_ < 0 || now_us_ < turn_ran_us_ + facts_.dwell_us;
    require(!in_time || class_of(turn) < class_of(turn_), "lost its turn too soon", turn_);
  }
  turn_ = turn;
  turn_ran_us_ = -1;
}

void FleetSimulation::load(SegmentId id) {
  SimModel& model = at(id.model);
  const bool coming = std::ranges::find(loads_, id, &Load::segment) != loads_.end();
  require(!model.there[static_cast<size_t>(id.segment)] && !coming, "loads what is there",
          id.model);
  require(model.prepared, "loads what is not prepared", id.model);
  const int32_t frames = facts_.segment(id).frames;
  used_frames_ += frames;
  require(used_frames_ <= facts_.frames, "memory is over-committed", id.model);
  const int64_t slower = bug_ == FleetBug::kSlowLoads && id.model == 0 ? 1000 : 1;
  const int64_t takes_us =
      slower * frames * costs(id.model).load_us_per_frame * random_.between(80, 120) / 100;
  pager_free_us_ = std::max(pager_free_us_, now_us_) + takes_us;
  loads_.push_back(
      {.segment = id,
       .done_us = pager_free_us_,
       .fails = workload_.failures_one_in > 0 && random_.one_in(workload_.failures_one_in)});
  ++report_.loads;
}

// Runs.

Priority FleetSimulation::top(ModelId model) const {
  Priority top = Priority::kLow;
  for (const auto& [id, priority] : at(model).processes) top = std::max(top, priority);
  return top;
}

int FleetSimulation::class_of(ModelId model) const {
  return model == rescued_ ? 0 : 3 - static_cast<int>(top(model));
}

bool FleetSimulation::reads(ModelId model, int32_t first, int32_t end, int32_t segment) const {
  for (int32_t step = first; step < end; ++step) {
    const auto& list = facts(model).steps[static_cast<size_t>(step)];
    if (std::ranges::find(list, segment) != list.end()) return true;
  }
  return false;
}

bool FleetSimulation::all_there(ModelId model, int32_t first, int32_t end) const {
  for (int32_t s = 0; s < static_cast<int32_t>(at(model).there.size()); ++s) {
    if (reads(model, first, end, s) && !at(model).there[static_cast<size_t>(s)]) return false;
  }
  return true;
}

/// Whether all its segments have room beside what is pinned.
bool FleetSimulation::fits(ModelId model) const {
  int32_t frames = 0;
  for (ModelId m = 0; m < count(); ++m) {
    for (const SegmentFacts& segment : facts(m).segments) {
      frames += m == model || segment.pinned ? segment.frames : 0;
    }
  }
  return frames <= facts_.frames;
}

bool FleetSimulation::in_use(SegmentId id) const {
  return run_ && run_->model == id.model && reads(id.model, run_step_, run_->end_step, id.segment);
}

void FleetSimulation::start(PassRun run) {
  if (bug_ == FleetBug::kRunTooFar) run.end_step = facts(run.model).step_count();
  trace(static_cast<uint64_t>(run.model * 10000 + run.first_step * 100 + run.end_step));
  SimModel& model = at(run.model);
  require(wants(run.model), "runs without work", run.model);
  require(run.first_step == model.step && run.end_step > run.first_step &&
              run.end_step <= facts(run.model).step_count(),
          "runs other steps than are next", run.model);
  require(all_there(run.model, run.first_step, run.end_step), "a run whose weights are not there",
          run.model);
  check_choice(run);
  if (!report_.error.empty()) return;
  const bool whole = !fits(run.model) || all_there(run.model, 0, facts(run.model).step_count());
  if (run.model == turn_ && turn_ran_us_ < 0 && whole) turn_ran_us_ = now_us_;
  run_ = run;
  run_step_ = run.first_step;
  if (run.first_step == 0) model.batch = model.scheduler->next_batch(now_us_);
  require(model.batch.has_value(), "a pass of nothing", run.model);
  ++report_.runs;
}

/// Nobody of a higher class could run.
void FleetSimulation::check_choice(const PassRun& run) {
  if (rescued(run.model)) return;
  for (ModelId m = 0; m < count(); ++m) {
    if (m == run.model || !wants(m) || class_of(m) >= class_of(run.model)) continue;
    require(!all_there(m, at(m).step, facts(m).step_count()), "was passed over", m);
  }
}

/// One step of the run in flight, with all that happens meanwhile.
void FleetSimulation::step_to(int32_t step) {
  const ModelId id = run_->model;
  check_step(step);
  std::vector<ModelId> urgent;  // since before the step
  for (ModelId m = 0; m < count(); ++m) {
    const bool critical = wants(m) && top(m) == Priority::kCritical && m != id;
    if (critical && all_there(m, at(m).step, facts(m).step_count())) urgent.push_back(m);
  }
  const int32_t us = costs(id).step_us;
  advance_to(now_us_ + us + us * at(id).batch->tokens() / 12);
  if (!report_.error.empty()) return;
  run_step_ = step + 1;
  if (run_step_ == run_->end_step) return finish_run(run_step_);
  const bool stop = bug_ != FleetBug::kDeafToCritical && fleet_->should_stop(now_us_);
  if (stop) return finish_run(run_step_);
  if (rescued(id) || top(id) == Priority::kCritical) return;
  for (const ModelId m : urgent) {
    require(!wants(m) || top(m) != Priority::kCritical, "critical, and nobody yields", m);
  }
}

void FleetSimulation::check_step(int32_t step) {
  require(all_there(run_->model, step, step + 1), "a step whose weights are not there",
          run_->model);
}

void FleetSimulation::finish_run(int32_t end_step) {
  const PassRun run = *std::exchange(run_, std::nullopt);
  SimModel& model = at(run.model);
  fleet_->ran(std::min(end_step, run.end_step), now_us_);
  model.unserved_since_us = now_us_;
  report_.suspensions += end_step < run.end_step ? 1 : 0;
  model.step = end_step % facts(run.model).step_count();
  if (model.step == 0) finish_pass(model);
  if (model.broken) break_model(run.model);
  tell_demand(run.model);
}

void FleetSimulation::finish_pass(SimModel& model) {
  std::vector<ItemResult> results;
  for (const BatchItem& item : model.batch->items) {
    results.push_back(item.logits_last ? ItemResult{.token = 7} : ItemResult{});
  }
  const Batch batch = std::move(*model.batch);
  model.batch.reset();
  model.scheduler->batch_done(results, now_us_);
  for (const BatchItem& item : batch.items) {
    if (model.scheduler->info(item.id)) continue;
    report_.ended += model.processes.erase(item.id);
  }
  const std::string wrong = model.scheduler->check_invariants();
  if (!wrong.empty()) fail(wrong);
}

void FleetSimulation::check_waits() {
  for (ModelId m = 0; m < count(); ++m) {
    if (!wants(m) || (run_ && run_->model == m)) continue;
    require(now_us_ - at(m).unserved_since_us <= workload_.wait_bound_us, "starves", m);
  }
}

void FleetSimulation::check_end() {
  for (ModelId m = 0; m < count(); ++m) {
    require(!has_work(m), "has work that nobody does", m);
  }
  report_.suspensions = fleet_->stats().suspensions;
}

FleetReport FleetSimulation::run() {
  decide();
  for (uint64_t rounds = 0; report_.error.empty(); ++rounds) {
    if (rounds > 100'000) fail("no end in sight");
    check_waits();
    if (run_) {
      step_to(run_step_);
      if (!run_ && report_.error.empty()) decide();
      continue;
    }
    const auto next = next_event_us();
    if (!next) break;
    advance_to(*next);
  }
  if (report_.error.empty()) check_end();
  return report_;
}

}  // namespace

FleetReport simulate_fleet(uint64_t seed, FleetBug bug) {
  return FleetSimulation(seed, bug).run();
}

}  // namespace neuros::sched
