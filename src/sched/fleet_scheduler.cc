#include "sched/fleet_scheduler.h"

#include "base/check.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace neuros::sched {

namespace {

bool fits_as_a_whole(const FleetFacts& facts, size_t model) {
  int32_t frames = 0;
  for (size_t m = 0; m < facts.models.size(); ++m) {
    for (const SegmentFacts& segment : facts.models[m].segments) {
      if (m == model || segment.pinned) frames += segment.frames;
    }
  }
  return frames <= facts.frames;
}

}  // namespace

FleetScheduler::FleetScheduler(FleetFacts facts)
    : facts_(std::move(facts)), residency_(facts_), models_(facts_.models.size()) {
  const std::string wrong = check_feasible(facts_);
  CHECK(wrong.empty(), wrong.c_str());
  CHECK(facts_.loads_in_flight > 0);
  for (const ModelFacts& model : facts_.models) {
    fits_.push_back(fits_as_a_whole(facts_, fits_.size()));
    auto& readers = readers_.emplace_back(model.segments.size());
    for (int32_t step = 0; step < model.step_count(); ++step) {
      for (const int32_t segment : model.steps[static_cast<size_t>(step)]) {
        readers[static_cast<size_t>(segment)].push_back(step);
      }
    }
  }
}

void FleetScheduler::hear(int64_t now_us) {
  now_us_ = std::max(now_us_, now_us);
}

void FleetScheduler::set_demand(ModelId model, const Demand& demand, int64_t now_us) {
  hear(now_us);
  Model& m = at(model);
  if (!m.demand.work && demand.work) m.unserved_since_us = now_us_;
  if (m.demand.work != demand.work) m.failed = false;
  m.demand = demand;
}

void FleetScheduler::await_preparation(ModelId model) {
  CHECK(!at(model).demand.work);
  at(model).prepared = false;
}

void FleetScheduler::prepared(ModelId model, int64_t now_us) {
  hear(now_us);
  Model& m = at(model);
  CHECK(!m.prepared);
  m.prepared = true;
  m.unserved_since_us = now_us_;  // nobody kept it waiting
}

void FleetScheduler::expect(ModelId model, bool expected, int64_t now_us) {
  hear(now_us);
  at(model).expected = expected;
}

void FleetScheduler::loaded(SegmentId segment, int64_t now_us) {
  hear(now_us);
  residency_.loaded(segment);
}

void FleetScheduler::load_failed(SegmentId segment, int64_t now_us) {
  hear(now_us);
  residency_.failed(segment);
  ++stats_.failed_loads;
  at(segment.model).failed = true;
  at(segment.model).expected = false;
}

void FleetScheduler::abandon_pass(ModelId model) {
  CHECK(!in_flight(model));
  at(model).step = 0;
}

// The turn.

int FleetScheduler::class_of(ModelId model) const {
  return model == rescued_ ? 0 : 3 - static_cast<int>(at(model).demand.top);
}

FleetScheduler::Models FleetScheduler::standing() const {
  Models order;
  for (ModelId m = 0; m < model_count(); ++m) {
    if (at(m).wants_to_run()) order.push_back(m);
  }
  const auto key = [this](ModelId m) {
    return std::tuple(m == turn_.model ? 0 : 1, class_of(m), at(m).last_turn, m);
  };
  std::ranges::sort(order, [&](ModelId a, ModelId b) { return key(a) < key(b); });
  return order;
}

bool FleetScheduler::keeps_turn(const Models& order) const {
  if (order.empty() || order.front() != turn_.model) return false;
  const bool in_time = turn_.in_time(now_us_);
  const int mine = class_of(turn_.model);
  return std::none_of(order.begin() + 1, order.end(), [&](ModelId other) {
    if (class_of(other) != mine) return class_of(other) < mine;
    return !in_time && residency_.missing_frames(other) > 0;
  });
}

/// Of the overdue the one that waits longest, if it is time for one.
void FleetScheduler::choose_rescued() {
  if (rescued_ >= 0 && (!turn_.in_time(now_us_) || !at(rescued_).wants_to_run())) rescued_ = -1;
  if (rescued_ >= 0 || now_us_ < rescued_since_us_ + facts_.wait_us_max) return;
  const int64_t overdue_us = now_us_ - facts_.wait_us_max;
  for (ModelId m = 0; m < model_count(); ++m) {
    const Model& model = at(m);
    if (!model.wants_to_run() || in_flight(m) || model.unserved_since_us > overdue_us) continue;
    if (rescued_ < 0 || model.unserved_since_us < at(rescued_).unserved_since_us) rescued_ = m;
  }
  if (rescued_ < 0) return;
  rescued_since_us_ = now_us_;
  turn_ = {};  // even if it is its own, the time of it begins now
}

/// The turn to the first of those that may have it. Where everybody's weights are there it matters
/// to nobody.
void FleetScheduler::pass_turn() {
  choose_rescued();
  Models order = standing();
  if (keeps_turn(order)) return;
  turn_ = {};
  order = standing();
  if (order.empty()) return;
  turn_ = {.model = order.front(), .since_us = now_us_, .until_us = -1};
  at(turn_.model).last_turn = ++stats_.turns;
}

// Loads.

int32_t FleetScheduler::next_step(ModelId model) const {
  return in_flight(model) ? run_->end_step % steps_of(model) : at(model).step;
}

int32_t FleetScheduler::distance(SegmentId id) const {
  const int32_t steps = steps_of(id.model), next = next_step(id.model);
  int32_t least = steps;
  for (const int32_t step :
       readers_[static_cast<size_t>(id.model)][static_cast<size_t>(id.segment)]) {
    least = std::min(least, (step - next + steps) % steps);
  }
  return least;
}

/// Absent segments, those read first first.
std::vector<SegmentId> FleetScheduler::missing(ModelId model) const {
  std::vector<SegmentId> list;
  if (residency_.missing_frames(model) == 0) return list;
  for (int32_t i = 0; i < segments_of(model); ++i) {
    if (residency_.state({model, i}) == Residency::State::kAbsent) list.push_back({model, i});
  }
  std::ranges::stable_sort(list, {}, [this](SegmentId id) { return distance(id); });
  return list;
}

void FleetScheduler::plan_loads(const Models& order, std::vector<PagerMove>& moves) {
  for (ModelId m = 0; m < model_count(); ++m) {
    for (const SegmentId id : missing(m)) {
      if (!facts_.segment(id).pinned || at(m).failed || !at(m).prepared) continue;
      if (!load(id, order, moves)) return;
    }
  }
  for (const ModelId m : order) {
    if (!load_missing(m, order, moves)) return;
  }
  for (ModelId m = 0; m < model_count(); ++m) {
    const bool waits = std::ranges::find(order, m) != order.end();
    const bool expected = at(m).expected && at(m).prepared;
    if (expected && !waits && !load_missing(m, order, moves)) return;
  }
}

/// False where nobody after this model may load either.
bool FleetScheduler::load_missing(ModelId model, const Models& order,
                                  std::vector<PagerMove>& moves) {
  for (const SegmentId id : missing(model)) {
    if (!load(id, order, moves)) return false;
  }
  return true;
}

bool FleetScheduler::load(SegmentId id, const Models& order, std::vector<PagerMove>& moves) {
  if (residency_.loading() >= facts_.loads_in_flight) return false;
  const int32_t frames = facts_.segment(id).frames;
  if (residency_.free_frames() < frames) {
    const std::vector<SegmentId> list = least_victims(id, order);
    if (list.empty()) return false;
    for (const SegmentId victim : list) {
      residency_.evict(victim);
      moves.push_back({PagerMove::Kind::kDrop, victim});
      ++stats_.drops;
    }
  }
  residency_.begin_load(id);
  moves.push_back({PagerMove::Kind::kLoad, id});
  ++stats_.loads;
  return true;
}

/// What may go for a segment, the first to go first. Who has the turn, and weights that stay, take
/// from everybody, last from themselves; others only from who does not want to run.
std::vector<SegmentId> FleetScheduler::victims(SegmentId beneficiary, const Models& order) const {
  std::vector<SegmentId> list;
  const bool pinned = facts_.segment(beneficiary).pinned;
  append_idle(false, list);
  if (pinned || at(beneficiary.model).wants_to_run()) append_idle(true, list);
  if (pinned || beneficiary.model == turn_.model) {
    for (size_t i = order.size(); i-- > 0;) {
      if (order[i] != beneficiary.model) append_tail_first(order[i], list);
    }
    append_own(beneficiary, list);
  }
  std::erase_if(list, [&](SegmentId id) {
    return !residency_.evictable(id) ||
           (id.model == beneficiary.model && !at(id.model).wants_to_run());
  });
  return list;
}

void FleetScheduler::append_idle(bool expected, std::vector<SegmentId>& list) const {
  Models idle;
  for (ModelId m = 0; m < model_count(); ++m) {
    if (!at(m).wants_to_run() && at(m).expected == expected) idle.push_back(m);
  }
  std::ranges::stable_sort(idle, {}, [this](ModelId m) { return at(m).used_us; });
  for (const ModelId m : idle) append_tail_first(m, list);
}

/// So that a model that comes back can begin with what is left of it.
void FleetScheduler::append_tail_first(ModelId model, std::vector<SegmentId>& list) const {
  std::vector<SegmentId> mine;
  for (int32_t i = 0; i < segments_of(model); ++i) mine.push_back({model, i});
  std::ranges::stable_sort(mine, std::greater<>(), [this](SegmentId id) { return distance(id); });
  list.insert(list.end(), mine.begin(), mine.end());
}

/// Of a model larger than the memory: what is read later than the segment that is to come. The one
/// just used is the last to be read again, so most layers stay and a few rotate (Belady's rule);
/// the further ahead of its step one is loaded, the more rotate.
void FleetScheduler::append_own(SegmentId beneficiary, std::vector<SegmentId>& list) const {
  const int32_t needed = distance(beneficiary);
  if (needed >= facts_.loads_in_flight) return;
  std::vector<SegmentId> mine;
  append_tail_first(beneficiary.model, mine);
  std::ranges::copy_if(mine, std::back_inserter(list),
                       [&](SegmentId id) { return distance(id) > needed; });
}

/// So few of the victims that without any of them there is no room; none if all do not suffice.
std::vector<SegmentId> FleetScheduler::least_victims(SegmentId beneficiary,
                                                     const Models& order) const {
  const auto frames = [this](SegmentId id) { return facts_.segment(id).frames; };
  const int32_t wanted = frames(beneficiary) - residency_.free_frames();
  int32_t freed = 0;
  std::vector<SegmentId> chosen;
  for (const SegmentId id : victims(beneficiary, order)) {
    if (freed >= wanted) break;
    chosen.push_back(id);
    freed += frames(id);
  }
  if (freed < wanted) return {};
  for (size_t i = chosen.size(); i-- > 0;) {
    if (freed - frames(chosen[i]) < wanted) continue;
    freed -= frames(chosen[i]);
    chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return chosen;
}

// Runs.

int32_t FleetScheduler::ready_end(ModelId model) const {
  int32_t end = at(model).step;
  while (end < steps_of(model) && residency_.ready(model, end)) ++end;
  return end;
}

bool FleetScheduler::waits_for_more(ModelId model) const {
  if (!fits_[static_cast<size_t>(model)]) return false;
  for (int32_t i = 0; i < segments_of(model); ++i) {
    if (!residency_.resident({model, i})) return true;
  }
  return false;
}

/// Only who has the turn runs with a part of its weights: others could not go on.
bool FleetScheduler::can_run(ModelId model) const {
  const int32_t end = ready_end(model);
  if (model == turn_.model) return end > at(model).step;
  return end == steps_of(model);
}

std::optional<PassRun> FleetScheduler::choose_run(const Models& order) const {
  std::optional<ModelId> best;
  const auto key = [this](ModelId m) { return std::tuple(class_of(m), at(m).last_run); };
  for (const ModelId m : order) {
    if (can_run(m) && (!best || key(m) < key(*best))) best = m;
  }
  if (!best) return std::nullopt;
  return PassRun{*best, at(*best).step, ready_end(*best)};
}

Decision FleetScheduler::decide(int64_t now_us) {
  hear(now_us);
  pass_turn();
  Decision decision;
  const Models order = standing();
  plan_loads(order, decision.moves);
  if (run_) return decision;
  decision.run = choose_run(order);
  if (decision.run) start(*decision.run);
  return decision;
}

void FleetScheduler::start(const PassRun& run) {
  run_ = run;
  for_segments(run, [this](SegmentId id) { residency_.hold(id); });
  if (run.model == turn_.model && turn_.until_us < 0 && !waits_for_more(run.model)) {
    turn_.until_us = now_us_ + std::max(facts_.dwell_us, now_us_ - turn_.since_us);
  }
  at(run.model).last_run = ++runs_;
}

template <typename Act>
void FleetScheduler::for_segments(const PassRun& run, Act act) const {
  const auto& steps = facts_.models[static_cast<size_t>(run.model)].steps;
  for (int32_t step = run.first_step; step < run.end_step; ++step) {
    for (const int32_t index : steps[static_cast<size_t>(step)]) act(SegmentId{run.model, index});
  }
}

void FleetScheduler::ran(int32_t end_step, int64_t now_us) {
  hear(now_us);
  CHECK(run_ && end_step > run_->first_step && end_step <= run_->end_step);
  const PassRun run = *std::exchange(run_, std::nullopt);
  for_segments(run, [this](SegmentId id) { residency_.release(id); });
  Model& m = at(run.model);
  if (end_step < run.end_step) ++stats_.suspensions;
  m.step = end_step % steps_of(run.model);
  m.unserved_since_us = m.used_us = now_us_;
}

bool FleetScheduler::should_stop(int64_t now_us) const {
  CHECK(run_);
  const bool rescued = rescued_ == run_->model && turn_.in_time(std::max(now_us, now_us_));
  if (rescued || at(run_->model).demand.top == Priority::kCritical) return false;
  for (ModelId m = 0; m < model_count(); ++m) {
    if (m == run_->model || !at(m).wants_to_run()) continue;
    if (at(m).demand.top != Priority::kCritical) continue;
    // It can run, or it waits for memory that this run holds.
    if (residency_.ready(m, at(m).step) || residency_.loading() == 0) return true;
  }
  return false;
}

std::string FleetScheduler::check_invariants() const {
  std::string wrong = residency_.check_invariants();
  if (!wrong.empty()) return wrong;
  for (ModelId m = 0; m < model_count(); ++m) {
    if (at(m).step < 0 || at(m).step >= steps_of(m)) return "a pass beyond its end";
    if (!at(m).prepared && residency_.frames_of(m) > 0) return "weights that are not prepared";
  }
  if (rescued_ >= 0 && rescued_ != turn_.model) return "who is rescued has not the turn";
  if (!run_) return "";
  for (int32_t step = run_->first_step; step < run_->end_step; ++step) {
    if (!residency_.ready(run_->model, step)) return "a run whose weights are not there";
  }
  return "";
}

}  // namespace neuros::sched
