#include "runtime/fleet_thread.h"

#include "base/check.h"
#include "runtime/live_process.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace neuros::runtime {
namespace {

constexpr int64_t kRowsLong = 256;  ///< of a prompt whose steps take long

}  // namespace

FleetThread::FleetThread(sched::FleetFacts facts, std::vector<Model> models, Pager* pager,
                         Doorbell& doorbell, FleetObserver* observer)
    : facts_(std::move(facts)),
      pager_(pager),
      doorbell_(doorbell),
      observer_(observer),
      scheduler_(facts_) {
  CHECK(models.size() == facts_.models.size());
  for (const Model& model : models) {
    members_.emplace_back().model = model;
    CHECK(model.executor->steps() == facts_.models[members_.size() - 1].step_count());
    if (!model.prepared) scheduler_.await_preparation(static_cast<int32_t>(members_.size()) - 1);
  }
}

void FleetThread::work() {
  while (take_mail()) {
    take_reports();
    end_broken();
    tell_demands();
    if (const auto next = decide()) {
      run(*next);
    } else {
      doorbell_.wait();
    }
  }
  // One model was told to stop; mail for another may have come since that was looked at.
  for (Member& member : members_) member.model.dispatcher->shut_down();
}

bool FleetThread::take_mail() {
  for (Member& member : members_) {
    if (!member.model.dispatcher->take_mail()) stopping_ = true;
  }
  return !stopping_;
}

void FleetThread::report(const PagerReport& report) {
  {
    const std::lock_guard lock(mutex_);
    const sched::SegmentId segment{report.model, report.segment};
    if (report.job == PagerJob::kDrop) {
      CHECK(report.result.has_value(), "memory that cannot be given back");
    } else if (report.result) {
      scheduler_.loaded(segment, now_us());
    } else {
      scheduler_.load_failed(segment, now_us());
    }
    reports_.push_back(report);
    page_meanwhile();
  }
  doorbell_.ring();
}

void FleetThread::prepared(int32_t model, base::Result<> result) {
  {
    const std::lock_guard lock(mutex_);
    preparations_.emplace_back(model, std::move(result));
  }
  doorbell_.ring();
}

void FleetThread::expect(int32_t model, bool expected) {
  {
    const std::lock_guard lock(mutex_);
    scheduler_.expect(model, expected, now_us());
  }
  doorbell_.ring();
}

void FleetThread::page_meanwhile() {
  if (!scheduler_.runs() || !somebody_waits()) return;
  const sched::Decision decision = scheduler_.decide(now_us());
  CHECK(!decision.run, "one run at a time");
  carry_out(decision.moves);
}

bool FleetThread::somebody_waits() const {
  for (size_t i = 0; i < members_.size(); ++i) {
    if (scheduler_.waits_for_weights(static_cast<int32_t>(i))) return true;
  }
  return false;
}

void FleetThread::take_reports() {
  const std::lock_guard lock(mutex_);
  take_preparations();
  for (const PagerReport& report : std::exchange(reports_, {})) {
    if (observer_ != nullptr) observer_->on_transfer(report);
    if (!report.result) at(report.model).load_error = report.result.error().message;
  }
}

void FleetThread::take_preparations() {
  for (auto& [model, result] : std::exchange(preparations_, {})) {
    if (result) {
      scheduler_.prepared(model, now_us());
    } else {
      at(model).boot_error = std::move(result).error().message;
    }
  }
}

/// The processes of a model whose weights cannot be loaded end; later ones try again. Of one that
/// failed at boot those end that came before this was known.
void FleetThread::end_broken() {
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    const auto model = static_cast<int32_t>(i);
    if (!member.boot_error.empty() && member.model.dispatcher->demand().work) {
      member.model.dispatcher->end_all(EndReason::kFailed, member.boot_error);
    }
    if (member.load_error.empty() || model == running_) continue;
    member.model.dispatcher->end_all(EndReason::kFailed, std::exchange(member.load_error, ""));
    member.pass_busy_us = 0;
    const std::lock_guard lock(mutex_);
    scheduler_.abandon_pass(model);
  }
}

void FleetThread::tell_demands() {
  for (size_t i = 0; i < members_.size(); ++i) {
    const sched::Demand demand = members_[i].model.dispatcher->demand();
    if (demand.work && demand.top == sched::Priority::kCritical) critical_us_ = now_us();
    if (demand == members_[i].told) continue;
    members_[i].told = demand;
    if (preparation_ != nullptr) preparation_->set_demand(static_cast<int32_t>(i), demand);
    const std::lock_guard lock(mutex_);
    scheduler_.set_demand(static_cast<int32_t>(i), demand, now_us());
  }
}

/// A model that has work, does not run and could not: since when, until now.
void FleetThread::count_swap(int64_t now_us) {
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    if (member.blocked_since_us >= 0) {
      const int64_t us = now_us - member.blocked_since_us;
      member.swap_us += us;
      member.model.dispatcher->add_swap(us);
    }
    const bool blocked = scheduler_.waits_for_weights(static_cast<int32_t>(i));
    member.blocked_since_us = blocked ? now_us : -1;
  }
}

std::optional<sched::PassRun> FleetThread::decide() {
  const std::lock_guard lock(mutex_);
  const int64_t now = now_us();
  const sched::Decision decision = scheduler_.decide(now);
  carry_out(decision.moves);
  count_swap(now);
  return decision.run;
}

void FleetThread::carry_out(std::span<const sched::PagerMove> moves) {
  for (const sched::PagerMove& move : moves) {
    const auto [model, segment] = move.segment;
    if (pager_ == nullptr) {
      CHECK(move.kind == sched::PagerMove::Kind::kLoad, "all of it stays");
      scheduler_.loaded(move.segment, now_us());
    } else if (move.kind == sched::PagerMove::Kind::kLoad) {
      pager_->load(model, segment);
    } else {
      pager_->drop(model, segment);
    }
  }
  if (pager_ == nullptr && !moves.empty()) doorbell_.ring();  // what was decided without them
}

void FleetThread::run(const sched::PassRun& run) {
  Member& member = at(run.model);
  const int64_t started = now_us();
  running_ = run.model;
  const base::Result<int32_t> came_to = compute(run);
  running_ = -1;
  member.pass_busy_us += now_us() - started;
  if (observer_ != nullptr) tell_of(run, came_to.value_or(run.first_step), started);
  const bool ends = !came_to || *came_to == member.model.executor->steps();
  {
    const std::lock_guard lock(mutex_);
    scheduler_.ran(came_to ? *came_to : run.end_step, now_us());
    if (!came_to) scheduler_.abandon_pass(run.model);
  }
  if (!ends) return;
  const int64_t busy_us = std::exchange(member.pass_busy_us, 0);
  learn_times(member, busy_us);
  member.model.dispatcher->finish_pass(came_to ? base::Result<>() : tl::unexpected(came_to.error()),
                                       busy_us);
}

void FleetThread::learn_times(Member& member, int64_t busy_us) {
  if (member.prompt_rows == 0) member.decode_us = busy_us;
  if (member.prompt_rows < kRowsLong) return;
  const int64_t step_us = std::max<int64_t>(busy_us / member.model.executor->steps(), 1);
  member.prompt_rows_per_ms = (member.decode_rows + member.prompt_rows) * 1000 / step_us;
}

void FleetThread::tell_of(const sched::PassRun& run, int32_t came_to, int64_t started_us) {
  const Member& member = at(run.model);
  observer_->on_run({.model = run.model,
                     .first_step = run.first_step,
                     .end_step = came_to,
                     .steps = member.model.executor->steps(),
                     .decode_rows = member.decode_rows,
                     .prompt_rows = member.prompt_rows,
                     .begin_us = started_us,
                     .end_us = now_us()});
}

base::Result<int32_t> FleetThread::compute(const sched::PassRun& run) {
  Executor& executor = *at(run.model).model.executor;
  if (run.first_step > 0) return compute_steps(executor, run);
  Member& member = at(run.model);
  const sched::Batch& batch = member.model.dispatcher->begin_pass(rows_most(member));
  member.decode_rows = std::ranges::count_if(batch.items, &sched::BatchItem::decodes);
  member.prompt_rows = batch.tokens() - member.decode_rows;
  if (!can_stop(member, batch) && run.end_step == executor.steps()) {
    TRY(executor.forward(batch));
    return run.end_step;
  }
  TRY(executor.begin_pass(batch));
  return compute_steps(executor, run);
}

/// Alone there is nobody to stop for. Decode steps are faster in one go, but while somebody has
/// critical requests, those that take long are not.
bool FleetThread::can_stop(const Member& member, const sched::Batch& batch) const {
  constexpr int64_t kLongUs = 1'000;
  if (members_.size() == 1) return false;
  if (!batch.only_decodes()) return true;
  return member.decode_us >= kLongUs && critical_about();
}

/// Who is critical waits for the end of a step. Where that may be, those of others take about a
/// millisecond, or as few rows as do not cost much.
int32_t FleetThread::rows_most(const Member& member) const {
  const bool is_critical = member.told.top == sched::Priority::kCritical;
  if (members_.size() == 1 || is_critical || !critical_about() || member.prompt_rows_per_ms == 0) {
    return std::numeric_limits<int32_t>::max();
  }
  return static_cast<int32_t>(std::max(member.prompt_rows_per_ms, kRowsLong));
}

/// A step that was begun ahead would delay who is critical, too.
bool FleetThread::runs_ahead(const Member& member) const {
  return member.decode_rows + member.prompt_rows < kRowsLong || !critical_about();
}

bool FleetThread::critical_about() const {
  constexpr int64_t kRecentUs = 10'000'000;
  return now_us() - critical_us_ < kRecentUs;
}

base::Result<int32_t> FleetThread::compute_steps(Executor& executor, const sched::PassRun& run) {
  const int32_t came_to = TRY(executor.run_steps(
      run.first_step, run.end_step, runs_ahead(at(run.model)), [this] { return go_on(); }));
  if (came_to == executor.steps()) TRY(executor.finish_pass());
  return came_to;
}

/// Between two steps: hears of what came meanwhile, which may be somebody more urgent.
bool FleetThread::go_on() {
  if (!take_mail()) return false;
  take_reports();
  end_broken();
  tell_demands();
  CHECK(!decide().has_value());
  const std::lock_guard lock(mutex_);
  return !scheduler_.should_stop(now_us());
}

FleetSnapshot FleetThread::snapshot() const {
  const std::lock_guard lock(mutex_);
  FleetSnapshot snapshot{.frames = facts_.frames,
                         .free_frames = scheduler_.residency().free_frames(),
                         .turn = scheduler_.turn(),
                         .stats = scheduler_.stats(),
                         .pager = pager_ != nullptr ? pager_->stats() : PagerStats{},
                         .models = {}};
  for (size_t i = 0; i < members_.size(); ++i) {
    ModelResidency& model = snapshot.models.emplace_back();
    model.swap_us = members_[i].swap_us;
    const auto count = static_cast<int32_t>(facts_.models[i].segments.size());
    for (int32_t s = 0; s < count; ++s) {
      model.segments.push_back(scheduler_.residency().state({static_cast<int32_t>(i), s}));
    }
  }
  return snapshot;
}

}  // namespace neuros::runtime
