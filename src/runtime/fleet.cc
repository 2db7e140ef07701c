#include "runtime/fleet.h"

#include "base/check.h"
#include "base/thread_pool.h"
#include "runtime/arenas.h"
#include "runtime/dispatcher.h"
#include "runtime/executor.h"
#include "runtime/fleet_facts.h"
#include "runtime/machine_check.h"
#include "runtime/mailbox.h"
#include "runtime/op_tables.h"
#include "runtime/plan_check.h"
#include "runtime/preparation.h"
#include "runtime/weight_loading.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace neuros::runtime {
namespace {

base::Result<> check_workers(const plan::Plan& plan, device::Stream& stream) {
  base::ThreadPool* workers = stream.cpu_workers();
  if (workers == nullptr || workers->size() <= plan.workers) return {};
  return base::fail("boot: the device has " + std::to_string(workers->size()) +
                    " workers, the plan has scratch for " + std::to_string(plan.workers));
}

/// One model of the fleet, and its door.
class Member final : public Engine {
 public:
  Member(plan::Plan plan, const kernels::OpTable& ops, std::shared_ptr<device::Stream> stream,
         int32_t queue_max, Doorbell& doorbell)
      : plan_(std::move(plan)),
        ops_(ops),
        stream_(std::move(stream)),
        mailbox_(queue_max, doorbell) {}

  /// Where its passes work, with whom it may share; before reserve().
  void work_in(const WorkMemory& work) { work_ = work; }
  /// All memory that it will ever have; then the executor can be made. `frames`: of weights that
  /// are paged, else null.
  base::Result<> reserve(FleetMember member, device::Device& device, device::FramePool* frames);
  /// Its weights: to where they stay, by `stream`, or to where the pager takes them from.
  base::Result<> prepare(device::Device& device, device::Stream& stream,
                         const FleetOptions& options);
  base::Result<int32_t> join(Pager& pager);
  base::Result<> warm_up() { return executor_->warm_up(); }
  FleetThread::Model model() { return {&*executor_, &*dispatcher_}; }
  void stop() { mailbox_.stop(); }

  /// Once it can run, or cannot; what it was prepared from is let go of.
  void set_boot_state(ModelBoot boot);
  device::Stream& stream() { return *stream_; }

  base::Result<sched::ProcessId> submit(ProcessSpec spec) override {
    TRY(check(spec));
    TRY(check_booted());
    return mailbox_.submit(std::move(spec));
  }
  void cancel(sched::ProcessId id) override { mailbox_.cancel(id); }
  void drain() override {
    mailbox_.close();
    mailbox_.wait_until_idle();
  }
  EngineStats stats() const override {
    EngineStats stats = dispatcher_->stats();
    stats.kv_page_bytes = plan_.kv.page_bytes;
    return stats;
  }
  const plan::Plan& plan() const override { return plan_; }
  LoadReport load_report() const override {
    const std::lock_guard lock(boot_mutex_);
    return load_report_;
  }
  ModelBoot boot_state() const override {
    const std::lock_guard lock(boot_mutex_);
    return boot_;
  }

 private:
  base::Result<> check(const ProcessSpec& spec) const;
  /// Fails unless it is ready or will be.
  base::Result<> check_booted() const;
  base::Result<LoadReport> load(device::Device& device, device::Stream& stream,
                                const LoadOptions& options);
  base::Result<LoadReport> fill_source(device::Device& device, const FleetOptions& options);

  const plan::Plan plan_;
  const kernels::OpTable& ops_;
  FleetMember from_;  ///< what it is prepared from, without the plan; until it is ready or failed
  mutable std::mutex boot_mutex_;
  LoadReport load_report_;  ///< guarded by boot_mutex_, as the next
  ModelBoot boot_;
  std::shared_ptr<device::Stream> stream_;
  WorkMemory work_;
  Arenas arenas_;
  std::unique_ptr<device::AddressRange> paged_weights_;
  std::optional<HostArena> source_memory_;  ///< until the source has it
  std::optional<LateSegmentSource> source_;
  std::optional<Executor> executor_;
  Mailbox mailbox_;
  std::optional<Dispatcher> dispatcher_;
};

base::Result<> Member::reserve(FleetMember member, device::Device& device,
                               device::FramePool* frames) {
  from_ = std::move(member);
  if (frames == nullptr) {
    arenas_ = TRY(Arenas::reserve(plan_.memory, device, work_));
  } else {
    const auto bytes = static_cast<size_t>(plan_.memory.weights);
    paged_weights_ = TRY(frames->reserve_addresses(bytes, "weights of " + plan_.model_path));
    arenas_ = TRY(Arenas::reserve(plan_.memory, device, work_, paged_weights_->span()));
    source_memory_ = TRY(reserve_segments(plan_, device, from_.home));
    source_.emplace(from_.home);
  }
  executor_.emplace(plan_, ops_, *stream_, arenas_);
  dispatcher_.emplace(plan_, *executor_, mailbox_);
  return {};
}

base::Result<> Member::prepare(device::Device& device, device::Stream& stream,
                               const FleetOptions& options) {
  if (from_.broken) return tl::unexpected(*from_.broken);
  LoadReport report =
      source_ ? TRY(fill_source(device, options)) : TRY(load(device, stream, options.load));
  const std::lock_guard lock(boot_mutex_);
  load_report_ = std::move(report);
  return {};
}

base::Result<LoadReport> Member::load(device::Device& device, device::Stream& stream,
                                      const LoadOptions& options) {
  const WeightTarget target{device, stream, arenas_.weights};
  if (from_.packed) return load_packed_weights(plan_, *from_.packed, target, options.on_progress);
  return load_weights(plan_, *from_.checkpoint, ops_, target, options);
}

base::Result<LoadReport> Member::fill_source(device::Device& device, const FleetOptions& options) {
  const bool on_disk = from_.home == WeightTier::kDisk;
  SegmentSourceOptions segments{.tier = from_.home,
                                .folder = on_disk ? options.folder : options.load.weight_cache,
                                .on_progress = options.load.on_progress,
                                .memory = std::exchange(source_memory_, std::nullopt)};
  auto prepared =
      from_.packed ? prepare_packed_segments(plan_, from_.packed, device, std::move(segments))
                   : prepare_segments(plan_, *from_.checkpoint, ops_, device, std::move(segments));
  if (!prepared) return tl::unexpected(std::move(prepared).error());
  source_->set(std::move(prepared->source));
  return std::move(prepared->report);
}

base::Result<int32_t> Member::join(Pager& pager) {
  return pager.add({.weights = paged_weights_.get(), .plan = &plan_, .source = &*source_});
}

void Member::set_boot_state(ModelBoot boot) {
  executor_->observe(from_.observer);  // of passes that somebody asked for
  from_ = {};
  const std::lock_guard lock(boot_mutex_);
  boot_ = std::move(boot);
}

base::Result<> Member::check_booted() const {
  const ModelBoot boot = boot_state();
  if (boot.state != ModelState::kFailed) return {};
  return base::fail(boot.error, base::ErrorKind::kBroken);
}

base::Result<> Member::check(const ProcessSpec& spec) const {
  if (!spec.client) return base::fail("engine: a process without a client");
  if (spec.prompt.empty()) return base::fail("engine: empty prompt");
  if (spec.max_new_tokens < 0) {
    return base::fail("engine: max_new_tokens " + std::to_string(spec.max_new_tokens));
  }
  const int64_t vocabulary = plan_.program.vocabulary;
  for (const int32_t id : spec.prompt) {
    if (id >= 0 && id < vocabulary) continue;
    return base::fail("engine: token " + std::to_string(id) + ", vocabulary of " +
                      std::to_string(vocabulary));
  }
  const auto prompt = static_cast<int64_t>(spec.prompt.size());
  const std::string counts = std::to_string(prompt) + " prompt tokens and " +
                             std::to_string(spec.max_new_tokens) + " new ones";
  if (prompt + spec.max_new_tokens > plan_.limits.context) {
    return base::fail("engine: " + counts + " exceed the context of " +
                      std::to_string(plan_.limits.context));
  }
  const int64_t pages = sched::pages_worst_case(prompt, spec.max_new_tokens, plan_.kv.page_tokens);
  if (pages > plan_.kv.pages) {
    return base::fail("engine: " + counts + " need " + std::to_string(pages) + " KV pages of " +
                      std::to_string(plan_.kv.pages));
  }
  return {};
}

/// All segments of a model there, one after the other, and gone again.
class Visit {
 public:
  Visit(const plan::Plan& plan, int32_t model, Pager& pager)
      : model_(model), count_(std::ssize(plan.segments)), pager_(pager) {}

  void report(const PagerReport& report) {
    const std::lock_guard lock(mutex_);
    ++reported_;
    if (!report.result && result_) result_ = report.result;
    if (report.result && report.job == PagerJob::kLoad) there_.push_back(report.segment);
    came_.notify_one();
  }
  base::Result<> warm_up(Member& member) {
    for (int32_t segment = 0; segment < count_; ++segment) pager_.load(model_, segment);
    base::Result<> result = wait_for(count_);
    if (result) result = member.warm_up();
    for (const int32_t segment : there_) pager_.drop(model_, segment);
    const base::Result<> dropped = wait_for(std::ssize(there_));
    return result ? dropped : result;
  }

 private:
  base::Result<> wait_for(int64_t reports) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return reported_ == reports; });
    reported_ = 0;
    return result_;
  }

  const int32_t model_;
  const int64_t count_;
  Pager& pager_;
  std::mutex mutex_;
  std::condition_variable came_;
  int64_t reported_ = 0;  ///< guarded by mutex_, as the next
  base::Result<> result_;
  std::vector<int32_t> there_;  ///< the same, until all loads are reported
};

class BootedFleet final : public Fleet {
 public:
  ~BootedFleet() override {
    if (preparation_) preparation_->stop();
    for (const auto& member : members_) member->stop();
    if (thread_.joinable()) thread_.join();
    if (pager_) pager_->stop(Pager::Stop::kAbandon);
  }

  base::Result<> boot(std::vector<FleetMember> members, device::Device& device,
                      FleetOptions options);

  size_t size() const override { return members_.size(); }
  Engine& engine(size_t model) override { return *members_.at(model); }
  void expect(size_t model, bool expected) override {
    preparation_->expect(static_cast<int32_t>(model), expected);
    work_->expect(static_cast<int32_t>(model), expected);
  }
  FleetSnapshot snapshot() const override { return work_->snapshot(); }

 private:
  base::Result<> reserve_work(std::span<const FleetMember> members, device::Device& device);
  base::Result<> open_member(FleetMember member, device::Device& device);
  base::Result<std::shared_ptr<device::Stream>> stream_for(device::Device& device);
  base::Result<> start_pager(device::Device& device);
  void start_thread(sched::FleetFacts facts);
  void plan_preparation();
  base::Result<> prepare_first(sched::BootMode mode);
  base::Result<> prepare(size_t model);
  void prepared(size_t model, const base::Result<>& result);
  base::Result<> no_model_error() const;
  base::Result<> warm_up(Member& member, int32_t model);
  base::Result<> warm_up_paged(Member& member, int32_t model);
  double seconds_since_boot() const {
    return std::chrono::duration<double>(Clock::now() - boot_began_).count();
  }

  using Clock = std::chrono::steady_clock;
  const Clock::time_point boot_began_ = Clock::now();
  FleetOptions options_;
  device::Device* device_ = nullptr;
  Doorbell doorbell_;
  std::unique_ptr<device::FramePool> frames_;  ///< before the ranges of members
  std::optional<WorkArena> work_arena_;        ///< before the members, too
  std::shared_ptr<device::Stream> stream_;     ///< that all share
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Visit> visit_;       ///< while booting
  std::unique_ptr<Pager> pager_;       ///< behind what it pages
  std::unique_ptr<FleetThread> work_;  ///< once booted
  std::thread thread_;
  std::unique_ptr<Preparation> preparation_;
  std::vector<base::Error> errors_;  ///< of models that failed, as they did; of who prepares
};

base::Result<> BootedFleet::boot(std::vector<FleetMember> members, device::Device& device,
                                 FleetOptions options) {
  options_ = std::move(options);
  device_ = &device;
  for (const FleetMember& member : members) TRY(check_machine(member.plan, device));
  const bool paged = options_.weights.frames > 0;
  if (paged) frames_ = TRY(device.create_frame_pool(options_.weights, "weights of the fleet"));
  TRY(reserve_work(members, device));
  std::vector<bool> stays;
  for (FleetMember& member : members) {
    stays.push_back(member.stays);
    TRY(open_member(std::move(member), device));
  }
  std::vector<const plan::Plan*> plans;
  for (const auto& member : members_) plans.push_back(&member->plan());
  sched::FleetFacts facts =
      paged ? paged_fleet_facts(plans, stays, options_.weights) : resident_fleet_facts(plans);
  facts.dwell_us = options_.dwell_us;
  facts.wait_us_max = options_.wait_us_max;
  const std::string wrong = sched::check_feasible(facts);
  if (!wrong.empty()) return base::fail("boot: " + wrong);
  if (paged) TRY(start_pager(device));
  plan_preparation();
  TRY(prepare_first(options_.boot));
  start_thread(std::move(facts));
  return {};
}

base::Result<> BootedFleet::reserve_work(std::span<const FleetMember> members,
                                         device::Device& device) {
  std::vector<const plan::Plan*> plans;
  for (const FleetMember& member : members) plans.push_back(&member.plan);
  work_arena_ = TRY(WorkArena::reserve(plans, device));
  return {};
}

/// What failed until now is told as what fails later is.
void BootedFleet::start_thread(sched::FleetFacts facts) {
  std::vector<FleetThread::Model> models;
  for (const auto& member : members_) {
    models.push_back(member->model());
    models.back().prepared = member->boot_state().state == ModelState::kReady;
  }
  work_ = std::make_unique<FleetThread>(std::move(facts), std::move(models), pager_.get(),
                                        doorbell_, options_.observer);
  work_->follow(*preparation_);
  for (size_t i = 0; i < members_.size(); ++i) {
    const ModelBoot boot = members_[i]->boot_state();
    if (boot.state != ModelState::kFailed) continue;
    work_->prepared(static_cast<int32_t>(i), base::fail(boot.error, base::ErrorKind::kIo));
  }
  thread_ = std::thread([this] { work_->work(); });
  preparation_->start();
}

base::Result<> BootedFleet::open_member(FleetMember member, device::Device& device) {
  if (member.plan.memory.arenas_on_host != device.memory_is_host()) {
    return base::fail("boot: the plan is for " + member.plan.device + ", the device is " +
                      device.name());
  }
  const kernels::OpTable* ops = find_op_table(member.plan.op_table);
  if (ops == nullptr) {
    return base::fail("boot: this machine does not run kernels " + member.plan.op_table,
                      base::ErrorKind::kUnsupported);
  }
  TRY(check_plan(member.plan, *ops));
  auto stream = TRY(stream_for(device));
  TRY(check_workers(member.plan, *stream));
  auto opened = std::make_unique<Member>(std::move(member.plan), *ops, std::move(stream),
                                         member.queue_max, doorbell_);
  opened->work_in(work_arena_->of(members_.size()));
  TRY(opened->reserve(std::move(member), device, frames_.get()));
  members_.push_back(std::move(opened));
  return {};
}

/// Workers of a CPU are shared; recordings of passes are each stream's own.
base::Result<std::shared_ptr<device::Stream>> BootedFleet::stream_for(device::Device& device) {
  if (stream_ && device.memory_is_host()) return stream_;
  stream_ = TRY(device.create_stream());
  return stream_;
}

base::Result<> BootedFleet::start_pager(device::Device& device) {
  pager_ = TRY(Pager::create(device, [this](const PagerReport& report) {
    visit_ ? visit_->report(report) : work_->report(report);
  }));
  for (size_t i = 0; i < members_.size(); ++i) {
    const int32_t number = TRY(members_[i]->join(*pager_));
    CHECK(number == static_cast<int32_t>(i));
  }
  return {};
}

void BootedFleet::plan_preparation() {
  std::vector<sched::ModelId> order = options_.order;
  if (order.empty()) {
    order.resize(members_.size());
    std::iota(order.begin(), order.end(), 0);
  }
  CHECK(order.size() == members_.size());
  preparation_ = std::make_unique<Preparation>(
      order,
      Preparation::Hooks{
          .prepare = [this](sched::ModelId model) { return prepare(static_cast<size_t>(model)); },
          .on_done =
              [this](sched::ModelId model, const base::Result<>& result) {
                prepared(static_cast<size_t>(model), result);
              }});
  options_.load.on_progress = [this, tell = std::move(options_.load.on_progress)](
                                  const LoadProgress& progress) -> base::Result<> {
    if (preparation_->stops()) return base::fail("boot: stopped", base::ErrorKind::kCancelled);
    // Later on nobody waits for it as such.
    return tell && work_ == nullptr ? tell(progress) : base::Result<>();
  };
}

/// All models, or on demand until there is one that can answer.
base::Result<> BootedFleet::prepare_first(sched::BootMode mode) {
  using sched::BootState;
  const auto is_enough = [&] {
    return mode == sched::BootMode::kOnDemand && preparation_->count(BootState::kReady) > 0;
  };
  while (!is_enough() && preparation_->prepare_next()) {
  }
  return preparation_->count(BootState::kReady) > 0 ? base::Result<>() : no_model_error();
}

/// Behind others that compute, it has processors of its own: workers are one thread's at a time.
base::Result<> BootedFleet::prepare(size_t model) {
  Member& member = *members_[model];
  std::unique_ptr<device::Stream> own;
  if (work_ != nullptr) {
    own = device_->memory_is_host()
              ? TRY(device_->create_stream())
              : TRY(device_->create_stream({.priority = device::StreamOptions::Priority::kLow}));
  }
  TRY(member.prepare(*device_, own ? *own : member.stream(), options_));
  return warm_up(member, static_cast<int32_t>(model));
}

void BootedFleet::prepared(size_t model, const base::Result<>& result) {
  ModelBoot boot{.state = result ? ModelState::kReady : ModelState::kFailed,
                 .error = result ? "" : result.error().message,
                 .seconds = seconds_since_boot()};
  members_[model]->set_boot_state(boot);
  if (!result) errors_.push_back(result.error());
  if (options_.on_model_boot) options_.on_model_boot(model, *members_[model]);
  if (work_ != nullptr) {
    work_->prepared(static_cast<int32_t>(model), result);
  }
}

base::Result<> BootedFleet::no_model_error() const {
  if (errors_.size() == 1) return tl::unexpected(errors_.front());
  std::string all;
  for (const base::Error& error : errors_) all += (all.empty() ? "" : "; ") + error.message;
  return base::fail("boot: no model can be prepared: " + all, errors_.front().kind);
}

/// A device that loads kernels on their first use, and records passes, has done so for a model
/// before its first request. The first request does it of models larger than the memory, and of
/// those that are prepared while others compute: a device computes for one model at a time, as
/// kernels that wait for their own blocks count on all of its processors.
base::Result<> BootedFleet::warm_up(Member& member, int32_t model) {
  if (work_ != nullptr || device_->memory_is_host()) return {};
  return pager_ ? warm_up_paged(member, model) : member.warm_up();
}

base::Result<> BootedFleet::warm_up_paged(Member& member, int32_t model) {
  const auto bytes = static_cast<size_t>(member.plan().memory.weights);
  if (bytes > frames_->frames() * frames_->frame_bytes()) return {};
  visit_ = std::make_unique<Visit>(member.plan(), model, *pager_);
  const base::Result<> result = visit_->warm_up(member);
  visit_.reset();
  return result;
}

}  // namespace

base::Result<std::unique_ptr<Fleet>> Fleet::boot(std::vector<FleetMember> members,
                                                 device::Device& device, FleetOptions options) {
  auto fleet = std::make_unique<BootedFleet>();
  TRY(fleet->boot(std::move(members), device, std::move(options)));
  return std::unique_ptr<Fleet>(std::move(fleet));
}

}  // namespace neuros::runtime
