#include "runtime/engine.h"

#include "base/thread_pool.h"
#include "runtime/arenas.h"
#include "runtime/dispatcher.h"
#include "runtime/executor.h"
#include "runtime/mailbox.h"
#include "runtime/op_tables.h"
#include "runtime/weight_loading.h"

#include <limits>
#include <thread>
#include <utility>

namespace neuros::runtime {
namespace {

sched::SchedulerLimits scheduler_limits(const plan::Plan& plan) {
  return {.context = plan.limits.context,
          .batch_tokens = plan.limits.batch_tokens,
          .sequences = plan.limits.sequences,
          .logit_rows = plan.limits.logit_rows,
          .pages = plan.kv.pages,
          .page_tokens = plan.kv.page_tokens,
          .queue = std::numeric_limits<int32_t>::max()};  // the mailbox refuses before
}

base::Result<> check_plan(const plan::Plan& plan) {
  const plan::BatchLimits& limits = plan.limits;
  if (limits.context < 1 || limits.batch_tokens < 1 || limits.sequences < 1 ||
      limits.logit_rows < 1 || plan.kv.pages < 1 || plan.kv.page_tokens < 1) {
    return base::fail("boot: a limit of the plan is not positive");
  }
  if (plan.kv.pages * plan.kv.page_bytes > plan.memory.kv) {
    return base::fail("boot: " + std::to_string(plan.kv.pages) + " KV pages of " +
                      std::to_string(plan.kv.page_bytes) + " bytes do not fit the plan's " +
                      std::to_string(plan.memory.kv));
  }
  return {};
}

base::Result<> check_workers(const plan::Plan& plan, device::Stream& stream) {
  base::ThreadPool* workers = stream.cpu_workers();
  if (workers == nullptr || workers->size() <= plan.workers) return {};
  return base::fail("boot: the device has " + std::to_string(workers->size()) +
                    " workers, the plan has scratch for " + std::to_string(plan.workers));
}

class BootedEngine final : public Engine {
 public:
  BootedEngine(plan::Plan plan, LoadReport load_report, const kernels::OpTable& ops,
               std::unique_ptr<device::Stream> stream, Arenas arenas, int32_t queue_max)
      : plan_(std::move(plan)),
        load_report_(std::move(load_report)),
        stream_(std::move(stream)),
        arenas_(std::move(arenas)),
        executor_(plan_, ops, *stream_, arenas_),
        mailbox_(queue_max),
        dispatcher_(scheduler_limits(plan_), executor_, mailbox_) {}

  ~BootedEngine() override {
    mailbox_.stop();
    if (thread_.joinable()) thread_.join();
  }

  /// Once: from here on the engine works.
  base::Result<> start(PassObserver* observer) {
    TRY(executor_.warm_up());
    executor_.observe(observer);
    thread_ = std::thread([this] { dispatcher_.work(); });
    return {};
  }

  base::Result<sched::ProcessId> submit(ProcessSpec spec) override {
    TRY(check(spec));
    return mailbox_.submit(std::move(spec));
  }
  void cancel(sched::ProcessId id) override { mailbox_.cancel(id); }
  void drain() override {
    mailbox_.close();
    mailbox_.wait_until_idle();
  }
  EngineStats stats() const override { return dispatcher_.stats(); }
  const plan::Plan& plan() const override { return plan_; }
  const LoadReport& load_report() const override { return load_report_; }

 private:
  base::Result<> check(const ProcessSpec& spec) const;

  const plan::Plan plan_;
  const LoadReport load_report_;
  std::unique_ptr<device::Stream> stream_;
  Arenas arenas_;
  Executor executor_;
  Mailbox mailbox_;
  Dispatcher dispatcher_;
  std::thread thread_;
};

base::Result<> BootedEngine::check(const ProcessSpec& spec) const {
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

}  // namespace

base::Result<std::unique_ptr<Engine>> Engine::boot(plan::Plan plan,
                                                   const formats::Checkpoint& checkpoint,
                                                   device::Device& device, EngineOptions options) {
  TRY(check_plan(plan));
  if (plan.memory.arenas_on_host != device.memory_is_host()) {
    return base::fail("boot: the plan is for " + plan.device + ", the device is " + device.name());
  }
  const kernels::OpTable* ops = find_op_table(plan.op_table);
  if (ops == nullptr) {
    return base::fail("boot: this machine does not run kernels " + plan.op_table,
                      base::ErrorKind::kUnsupported);
  }
  std::unique_ptr<device::Stream> stream = TRY(device.create_stream());
  TRY(check_workers(plan, *stream));
  Arenas arenas = TRY(Arenas::reserve(plan.memory, device));
  LoadReport report = TRY(
      load_weights(plan, checkpoint, *ops, {device, *stream, arenas.weights.span()}, options.load));
  auto engine =
      std::make_unique<BootedEngine>(std::move(plan), std::move(report), *ops, std::move(stream),
                                     std::move(arenas), options.queue_max);
  TRY(engine->start(options.observer));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace neuros::runtime
