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
#include "runtime/weight_loading.h"

#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace neuros::runtime {
namespace {

sched::SchedulerLimits scheduler_limits(const plan::Plan& plan) {
  return {.context = plan.limits.context,
          .batch_tokens = plan.limits.batch_tokens,
          .sequences = plan.limits.sequences,
          .logit_rows = plan.limits.logit_rows,
          .pages = plan.kv.pages,
          .host_pages = plan.kv.host_pages,
          .page_tokens = plan.kv.page_tokens,
          .queue = std::numeric_limits<int32_t>::max()};  // the mailbox refuses before
}

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

  /// Where its passes work, with whom it may share; before the next two.
  void work_in(const WorkMemory& work) { work_ = work; }
  /// Its memory and its weights; then the executor can be made.
  base::Result<> load(const FleetMember& member, device::Device& device,
                      const LoadOptions& options);
  /// The same with weights that come later.
  base::Result<> prepare(const FleetMember& member, device::Device& device,
                         device::FramePool& frames, const FleetOptions& options);
  base::Result<int32_t> join(Pager& pager);
  base::Result<> warm_up() { return executor_->warm_up(); }
  FleetThread::Model model() { return {&*executor_, &*dispatcher_}; }
  void observe(PassObserver* observer) { executor_->observe(observer); }
  void stop() { mailbox_.stop(); }

  base::Result<sched::ProcessId> submit(ProcessSpec spec) override {
    TRY(check(spec));
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
  const LoadReport& load_report() const override { return load_report_; }

 private:
  base::Result<> check(const ProcessSpec& spec) const;
  void bind();

  const plan::Plan plan_;
  const kernels::OpTable& ops_;
  LoadReport load_report_;
  std::shared_ptr<device::Stream> stream_;
  WorkMemory work_;
  Arenas arenas_;
  std::unique_ptr<device::AddressRange> paged_weights_;
  std::unique_ptr<SegmentSource> source_;
  std::optional<Executor> executor_;
  Mailbox mailbox_;
  std::optional<Dispatcher> dispatcher_;
};

base::Result<> Member::load(const FleetMember& member, device::Device& device,
                            const LoadOptions& options) {
  arenas_ = TRY(Arenas::reserve(plan_.memory, device, work_));
  const WeightTarget target{device, *stream_, arenas_.weights};
  load_report_ = member.packed
                     ? TRY(load_packed_weights(plan_, *member.packed, target, options.on_progress))
                     : TRY(load_weights(plan_, *member.checkpoint, ops_, target, options));
  bind();
  return {};
}

base::Result<> Member::prepare(const FleetMember& member, device::Device& device,
                               device::FramePool& frames, const FleetOptions& options) {
  const auto bytes = static_cast<size_t>(plan_.memory.weights);
  paged_weights_ = TRY(frames.reserve_addresses(bytes, "weights of " + plan_.model_path));
  arenas_ = TRY(Arenas::reserve(plan_.memory, device, work_, paged_weights_->span()));
  const bool on_disk = member.home == WeightTier::kDisk;
  const SegmentSourceOptions segments{
      .tier = member.home,
      .folder = on_disk ? options.folder : options.load.weight_cache,
      .on_progress = options.load.on_progress};
  auto prepared = member.packed
                      ? TRY(prepare_packed_segments(plan_, member.packed, device, segments))
                      : TRY(prepare_segments(plan_, *member.checkpoint, ops_, device, segments));
  source_ = std::move(prepared.source);
  load_report_ = std::move(prepared.report);
  bind();
  return {};
}

base::Result<int32_t> Member::join(Pager& pager) {
  return pager.add({.weights = paged_weights_.get(), .plan = &plan_, .source = source_.get()});
}

void Member::bind() {
  executor_.emplace(plan_, ops_, *stream_, arenas_);
  dispatcher_.emplace(scheduler_limits(plan_), *executor_, mailbox_);
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
      : model_(model), count_(static_cast<int32_t>(plan.segments.size())), pager_(pager) {}

  void report(const PagerReport& report) {
    const std::lock_guard lock(mutex_);
    ++reported_;
    if (!report.result && result_) result_ = report.result;
    came_.notify_one();
  }
  base::Result<> load_all() {
    for (int32_t segment = 0; segment < count_; ++segment) pager_.load(model_, segment);
    return wait();
  }
  base::Result<> drop_all() {
    for (int32_t segment = 0; segment < count_; ++segment) pager_.drop(model_, segment);
    return wait();
  }

 private:
  base::Result<> wait() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return reported_ == count_; });
    reported_ = 0;
    return result_;
  }

  const int32_t model_, count_;
  Pager& pager_;
  std::mutex mutex_;
  std::condition_variable came_;
  int32_t reported_ = 0;  ///< guarded by mutex_, as the next
  base::Result<> result_;
};

class BootedFleet final : public Fleet {
 public:
  ~BootedFleet() override {
    for (const auto& member : members_) member->stop();
    if (thread_.joinable()) thread_.join();
    if (pager_) pager_->stop(Pager::Stop::kAbandon);
  }

  base::Result<> boot(std::vector<FleetMember> members, device::Device& device,
                      const FleetOptions& options);

  size_t size() const override { return members_.size(); }
  Engine& engine(size_t model) override { return *members_.at(model); }
  void expect(size_t model, bool expected) override {
    work_->expect(static_cast<int32_t>(model), expected);
  }
  FleetSnapshot snapshot() const override { return work_->snapshot(); }

 private:
  base::Result<> reserve_work(std::span<const FleetMember> members, device::Device& device);
  base::Result<> open_member(FleetMember& member, device::Device& device,
                             const FleetOptions& options);
  base::Result<std::shared_ptr<device::Stream>> stream_for(device::Device& device);
  base::Result<> start_pager(device::Device& device);
  base::Result<> warm_up(bool device_has_own_memory);
  base::Result<> warm_up_paged(int32_t model);

  Doorbell doorbell_;
  std::unique_ptr<device::FramePool> frames_;  ///< before the ranges of members
  std::optional<WorkArena> work_arena_;        ///< before the members, too
  std::shared_ptr<device::Stream> stream_;     ///< that all share
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Visit> visit_;       ///< while booting
  std::unique_ptr<Pager> pager_;       ///< behind what it pages
  std::unique_ptr<FleetThread> work_;  ///< once booted
  std::thread thread_;
};

base::Result<> BootedFleet::boot(std::vector<FleetMember> members, device::Device& device,
                                 const FleetOptions& options) {
  for (const FleetMember& member : members) TRY(check_machine(member.plan, device));
  const bool paged = options.weights.frames > 0;
  if (paged) frames_ = TRY(device.create_frame_pool(options.weights, "weights of the fleet"));
  TRY(reserve_work(members, device));
  for (FleetMember& member : members) TRY(open_member(member, device, options));
  std::vector<const plan::Plan*> plans;
  std::vector<bool> stays;
  for (const FleetMember& member : members) stays.push_back(member.stays);
  std::vector<FleetThread::Model> models;
  for (const auto& member : members_) {
    plans.push_back(&member->plan());
    models.push_back(member->model());
  }
  sched::FleetFacts facts =
      paged ? paged_fleet_facts(plans, stays, options.weights) : resident_fleet_facts(plans);
  facts.dwell_us = options.dwell_us;
  facts.wait_us_max = options.wait_us_max;
  const std::string wrong = sched::check_feasible(facts);
  if (!wrong.empty()) return base::fail("boot: " + wrong);
  if (paged) TRY(start_pager(device));
  TRY(warm_up(!device.memory_is_host()));
  for (size_t i = 0; i < members.size(); ++i) members_[i]->observe(members[i].observer);
  work_ = std::make_unique<FleetThread>(std::move(facts), std::move(models), pager_.get(),
                                        doorbell_, options.observer);
  thread_ = std::thread([this] { work_->work(); });
  return {};
}

base::Result<> BootedFleet::reserve_work(std::span<const FleetMember> members,
                                         device::Device& device) {
  std::vector<const plan::Plan*> plans;
  for (const FleetMember& member : members) plans.push_back(&member.plan);
  work_arena_ = TRY(WorkArena::reserve(plans, device));
  return {};
}

base::Result<> BootedFleet::open_member(FleetMember& member, device::Device& device,
                                        const FleetOptions& options) {
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
  if (frames_) {
    TRY(opened->prepare(member, device, *frames_, options));
  } else {
    TRY(opened->load(member, device, options.load));
  }
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

/// A device that loads kernels on their first use, and records passes, has done so for every model
/// before the first request; of models larger than the memory the first requests do it.
base::Result<> BootedFleet::warm_up(bool device_has_own_memory) {
  if (!device_has_own_memory) return {};
  for (size_t i = 0; i < members_.size(); ++i) {
    if (pager_) {
      TRY(warm_up_paged(static_cast<int32_t>(i)));
    } else {
      TRY(members_[i]->warm_up());
    }
  }
  return {};
}

base::Result<> BootedFleet::warm_up_paged(int32_t model) {
  Member& member = *members_[static_cast<size_t>(model)];
  const auto bytes = static_cast<size_t>(member.plan().memory.weights);
  if (bytes > frames_->frames() * frames_->frame_bytes()) return {};
  visit_ = std::make_unique<Visit>(member.plan(), model, *pager_);
  TRY(visit_->load_all());
  TRY(member.warm_up());
  TRY(visit_->drop_all());
  visit_.reset();
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Fleet>> Fleet::boot(std::vector<FleetMember> members,
                                                 device::Device& device, FleetOptions options) {
  auto fleet = std::make_unique<BootedFleet>();
  TRY(fleet->boot(std::move(members), device, options));
  return std::unique_ptr<Fleet>(std::move(fleet));
}

}  // namespace neuros::runtime
