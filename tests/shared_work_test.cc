/// Models that take turns in one region of memory: a pass that stops between two steps for passes
/// of other models, which leave nothing of what it had there, ends as if it had run alone.

#include "base/cpu_features.h"
#include "device/cpu/cpu_device.h"
#include "runtime/executor.h"
#include "runtime/fleet.h"
#include "runtime/op_tables.h"
#include "runtime/weight_packing.h"
#include "runtime/work_arena.h"
#include "tiny_model.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros {
namespace {

using plan::Region;
using runtime::NextToken;
using testing::TinyModel;
using testing::TinyShape;

constexpr size_t kModels = 3;

/// Of different widths, depths and types.
TinyShape shape_of(size_t model) {
  if (model == 1) return {.hidden = 64, .feed_forward = 96, .layers = 3};
  if (model == 2) return {.feed_forward = 160, .layers = 1, .down = base::DType::kF32};
  return {.layers = 4, .down = base::DType::kQ4_0};
}

uint32_t seed_of(size_t model) {
  return static_cast<uint32_t>(70 + model);
}

/// At addresses that stay.
using Models = std::deque<TinyModel>;

Models all_models() {
  Models models;
  for (size_t i = 0; i < kModels; ++i) models.emplace_back(seed_of(i), shape_of(i));
  return models;
}

/// Prompts that have nothing in common.
std::vector<int32_t> prompt_of(size_t request, size_t tokens) {
  std::vector<int32_t> prompt(tokens);
  for (size_t i = 0; i < tokens; ++i) {
    prompt[i] = static_cast<int32_t>((request * 31 + i * 7 + i * i) % TinyModel::kVocabulary);
  }
  return prompt;
}

/// Bits of logits, NaN included.
using Bits = std::vector<uint32_t>;

Bits bits_of(std::span<const float> logits) {
  Bits bits(logits.size());
  std::memcpy(bits.data(), logits.data(), logits.size_bytes());
  return bits;
}

/// Plans that share a region, or have all memory of their own.
std::vector<plan::Plan> plans(const Models& models, const kernels::OpTable& ops,
                              Region step_memory) {
  std::vector<plan::Plan> plans;
  for (const TinyModel& model : models) {
    plans.push_back(model.plan(ops, {.step_memory = step_memory}));
  }
  return plans;
}

/// Executors of all models in one arena, without engines.
class Turns {
 public:
  Turns(const kernels::OpTable& ops, Region step_memory)
      : ops_(ops),
        device_(std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}))),
        stream_(std::move(*device_->create_stream())),
        plans_(plans(models_, ops_, step_memory)),
        work_(reserve()) {
    for (size_t i = 0; i < kModels; ++i) {
      arenas_.push_back(
          std::move(*runtime::Arenas::reserve(plans_[i].memory, *device_, work_.of(i))));
      const runtime::WeightTarget target{*device_, *stream_, arenas_[i].weights};
      CHECK(runtime::pack_weights(plans_[i], models_[i].checkpoint(), ops_, target, {}));
    }
    for (size_t i = 0; i < kModels; ++i) {
      prompts_.push_back(prompt_of(i, 12));
      pages_.push_back(static_cast<sched::PageId>(i));
      executors_.push_back(
          std::make_unique<runtime::Executor>(plans_[i], ops_, *stream_, arenas_[i]));
    }
  }

  /// Logits of the last token of a prompt of model `model`, computed in one go.
  Bits answer(size_t model) {
    CHECK(executors_[model]->forward(batch_of(model)));
    return logits(model);
  }
  /// The same a step at a time; `between` is called before every further step.
  Bits answer_in_steps(size_t model, const std::function<void()>& between) {
    runtime::Executor& executor = *executors_[model];
    const sched::Batch batch = batch_of(model);
    CHECK(executor.begin_pass(batch));
    for (int32_t step = 0; step < executor.steps(); ++step) {
      if (step > 0) between();
      CHECK(executor.run_steps(step, step + 1, true, [] { return true; }));
    }
    CHECK(executor.finish_pass());
    return logits(model);
  }
  /// NaN wherever a model could have left something to itself in what all share.
  void poison() const {
    size_t bytes = 0;
    for (const plan::Plan& plan : plans_) {
      bytes = std::max(bytes, static_cast<size_t>(plan.memory.shared));
    }
    std::memset(work_.of(0).shared.data(), 0xff, bytes);
  }

 private:
  /// The prompt of model `model`, on the page of its number.
  sched::Batch batch_of(size_t model) const {
    return {.items = {{.id = 1,
                       .tokens = prompts_[model],
                       .pages = std::span(pages_).subspan(model, 1),
                       .logits_last = true}}};
  }
  Bits logits(size_t model) { return bits_of(*executors_[model]->logits(0)); }
  runtime::WorkArena reserve() {
    std::vector<const plan::Plan*> plans;
    for (const plan::Plan& plan : plans_) plans.push_back(&plan);
    return std::move(*runtime::WorkArena::reserve(plans, *device_));
  }

  const kernels::OpTable ops_;
  const Models models_ = all_models();
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<device::Stream> stream_;
  const std::vector<plan::Plan> plans_;
  const runtime::WorkArena work_;
  std::vector<runtime::Arenas> arenas_;
  std::vector<std::unique_ptr<runtime::Executor>> executors_;
  std::vector<std::vector<int32_t>> prompts_;
  std::vector<sched::PageId> pages_;
};

/// Runs every model's pass a step at a time, with whole passes of the others in between.
void expect_same_in_turn(const kernels::OpTable& ops) {
  Turns apart(ops, Region::kOwn), in_turn(ops, Region::kShared);
  std::vector<Bits> expected;
  for (size_t i = 0; i < kModels; ++i) expected.push_back(apart.answer(i));
  for (size_t stopped = 0; stopped < kModels; ++stopped) {
    const Bits bits = in_turn.answer_in_steps(stopped, [&] {
      for (size_t other = 0; other < kModels; ++other) {
        if (other == stopped) continue;
        in_turn.poison();
        EXPECT_EQ(in_turn.answer(other), expected[other]) << ops.name;
      }
      in_turn.poison();
    });
    EXPECT_EQ(bits, expected[stopped]) << ops.name << ", model " << stopped;
  }
}

TEST(SharedWork, APassInStepsEndsAsIfNobodyElseHadRun) {
  expect_same_in_turn(kernels::ref_ops());
  expect_same_in_turn(kernels::cpu_ops(base::detect_cpu()));
}

/// What the ops of the next table may use of its scratch.
kernels::OpContext end_of_scratch(const kernels::OpContext& context) {
  kernels::OpContext end = context;
  const auto bytes = static_cast<size_t>(kernels::ref_ops().scratch_bytes(context.limits));
  end.scratch = context.scratch.last(bytes);
  return end;
}

template <auto kOp, typename Args>
void run_in_the_end(const kernels::OpContext& context, const Args& args) {
  (kernels::ref_ops().*kOp)(end_of_scratch(context), args);
}

/// The reference's ops as a device would have them that brings the batch to the start of the
/// scratch, and reads it there in every layer.
kernels::OpTable keeping_ops() {
  using kernels::OpTable;
  OpTable table = kernels::ref_ops();
  table.name = "keeping";
  table.kept_bytes = [](const kernels::OpLimits& limits) { return limits.tokens * 4; };
  table.scratch_bytes = [](const kernels::OpLimits& limits) {
    return limits.tokens * 4 + kernels::ref_ops().scratch_bytes(limits);
  };
  table.host_bytes = [](const kernels::OpLimits&) { return int64_t{64}; };
  table.stage_batch = [](const kernels::OpContext& context, const kernels::BatchView& view) {
    std::memcpy(context.scratch.data(), view.ids.data(), view.ids.size_bytes());
  };
  table.embed = run_in_the_end<&OpTable::embed, kernels::EmbedArgs>;
  table.rope_table = run_in_the_end<&OpTable::rope_table, kernels::RopeTableArgs>;
  table.qkv_rope = run_in_the_end<&OpTable::qkv_rope, kernels::QkvRopeArgs>;
  table.gate_up = run_in_the_end<&OpTable::gate_up, kernels::GateUpArgs>;
  table.logits = run_in_the_end<&OpTable::logits, kernels::LogitsArgs>;
  table.top_logits = run_in_the_end<&OpTable::top_logits, kernels::TopLogitsArgs>;
  for (kernels::LinearKernel& kernel : table.linear) {
    kernel.run = [](const kernels::OpContext& context, const kernels::LinearArgs& args) {
      kernels::ref_ops().linear_for(args.weight.dtype).run(end_of_scratch(context), args);
    };
  }
  table.attention = [](const kernels::OpContext& context, const kernels::AttentionArgs& args) {
    kernels::ref_ops().attention(end_of_scratch(context), args);
    int32_t first_id = 0;
    std::memcpy(&first_id, context.scratch.data(), sizeof first_id);
    args.out[0] += static_cast<float>(first_id);
  };
  return table;
}

TEST(SharedWork, WhatKernelsKeepIsEachModelsOwn) {
  expect_same_in_turn(keeping_ops());
}

TEST(SharedWork, OneReservationHoldsWhatThePlansSay) {
  const Models models = all_models();
  const std::vector<plan::Plan> shared = plans(models, keeping_ops(), Region::kShared);
  const auto device = std::move(*device::open_cpu_device({.threads = 1, .memory_bytes = 1 << 20}));
  std::vector<const plan::Plan*> all;
  int64_t own = 0, most = 0;
  for (const plan::Plan& plan : shared) {
    all.push_back(&plan);
    own += plan.memory.activations + plan.memory.scratch;
    most = std::max(most, plan.memory.shared);
  }
  const runtime::WorkArena arena = std::move(*runtime::WorkArena::reserve(all, *device));
  const std::byte* const start = arena.of(0).scratch.data();
  for (size_t i = 0; i < kModels; ++i) {
    const runtime::WorkMemory& work = arena.of(i);
    EXPECT_EQ(work.shared.data(), start + own) << "all in the same place";
    EXPECT_EQ(&work.scratch.back() + 1, start + own + shared[i].memory.shared);
    EXPECT_LE(&work.scratch.back() + 1, start + own + most);
    EXPECT_EQ(work.activations.data(), work.scratch.data() + shared[i].memory.scratch);
  }
  EXPECT_EQ(arena.of(1).scratch.data(),
            start + shared[0].memory.scratch + shared[0].memory.activations);
}

TEST(SharedWork, PartsThatKernelsCouldNotUseAreRefused) {
  plan::Plan plan = TinyModel().plan(kernels::ref_ops(), {});
  plan.memory.activations += 64;
  const auto device = std::move(*device::open_cpu_device({.threads = 1, .memory_bytes = 1 << 20}));
  const plan::Plan* const plans[] = {&plan};
  const auto arena = runtime::WorkArena::reserve(plans, *device);
  ASSERT_FALSE(arena.has_value());
  EXPECT_NE(arena.error().message.find("expected a multiple of 256"), std::string::npos);
}

/// The processor as a device that says when a step of a pass is over, and where passes work.
class WatchedDevice final : public device::Device {
 public:
  WatchedDevice()
      : host_(std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}))) {}

  std::string name() const override { return host_->name(); }
  size_t memory_bytes() const override { return host_->memory_bytes(); }
  base::Result<device::Buffer> reserve(size_t bytes, const std::string& what) override {
    device::Buffer buffer = TRY(host_->reserve(bytes, what));
    if (what == "activations and scratch") work = buffer.span();
    return buffer;
  }
  base::Result<std::unique_ptr<device::Stream>> create_stream(
      device::StreamOptions options) override {
    return std::make_unique<WatchedStream>(TRY(host_->create_stream(options)), after_step);
  }

  std::function<void()> after_step;  ///< on the thread of the fleet
  std::span<std::byte> work;

 protected:
  void release(std::byte*, size_t) override { CHECK(false, "buffers are the host's"); }

 private:
  struct StepEvent final : device::Event {
    explicit StepEvent(const std::function<void()>& is_over) : after_step(is_over) {}
    void record() override { after_step(); }
    const std::function<void()>& after_step;
  };
  struct WatchedStream final : device::Stream {
    WatchedStream(std::unique_ptr<device::Stream> of_host, const std::function<void()>& is_over)
        : host(std::move(of_host)), after_step(is_over) {}
    base::Result<> synchronize() override { return host->synchronize(); }
    void copy(std::byte* to, const std::byte* from, size_t bytes) override {
      host->copy(to, from, bytes);
    }
    std::unique_ptr<device::Event> create_event() override {
      return std::make_unique<StepEvent>(after_step);
    }
    base::ThreadPool* cpu_workers() override { return host->cpu_workers(); }

    std::unique_ptr<device::Stream> host;
    const std::function<void()>& after_step;
  };

  std::unique_ptr<device::Device> host_;
};

/// Keeps all logits and takes the likeliest token. All on the thread of the fleet.
class Listener final : public runtime::ProcessClient {
 public:
  explicit Listener(size_t& ended) : count_(ended) {}
  NextToken on_logits(std::span<float> logits) override {
    rows.push_back(bits_of(logits));
    const auto best = std::ranges::max_element(logits);
    return {.id = static_cast<int32_t>(best - logits.begin()), .stop = false};
  }
  void on_end(const runtime::ProcessEnd& end) override {
    ++count_;
    ended_.set_value(end.reason);
  }
  runtime::EndReason wait() { return ended_.get_future().get(); }

  std::vector<Bits> rows;

 private:
  size_t& count_;
  std::promise<runtime::EndReason> ended_;
};

/// A long prompt of the first model, and short critical ones of the others that come while it runs.
class Conversation {
 public:
  static constexpr size_t kInterruptions = 8;
  static size_t model_of(size_t request) { return request == 0 ? 0 : 1 + request % 2; }

  void start(runtime::Fleet& fleet, size_t request, size_t engine) {
    const bool is_long = request == 0;
    auto listener = std::make_shared<Listener>(ended);
    const auto id = fleet.engine(engine).submit(
        {.prompt = prompt_of(request, is_long ? 100 : 20),
         .max_new_tokens = is_long ? 4 : 2,
         .priority = is_long ? sched::Priority::kLow : sched::Priority::kCritical,
         .prompt_logits = false,
         .client = listener});
    CHECK(id.has_value());
    listeners_.push_back(std::move(listener));
  }
  /// Logits of all requests, in the order in which they were started.
  std::vector<std::vector<Bits>> wait() {
    std::vector<std::vector<Bits>> logits;
    for (size_t i = 0; i < listeners_.size(); ++i) {
      EXPECT_EQ(listeners_[i]->wait(), runtime::EndReason::kLength);
      logits.push_back(listeners_[i]->rows);
    }
    return logits;
  }

  size_t ended = 0;  ///< requests; for the thread of the fleet

 private:
  std::vector<std::shared_ptr<Listener>> listeners_;
};

/// What each request gets of its model alone.
std::vector<std::vector<Bits>> answers_apart() {
  std::vector<std::vector<Bits>> logits;
  for (size_t request = 0; request <= Conversation::kInterruptions; ++request) {
    const size_t number = Conversation::model_of(request);
    const TinyModel model(seed_of(number), shape_of(number));
    const auto device =
        std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}));
    std::vector<runtime::FleetMember> members(1);
    members[0].plan = model.plan(*runtime::find_op_table("ref"), {});
    members[0].checkpoint = {std::shared_ptr<void>(), &model.checkpoint()};
    const auto fleet = std::move(*runtime::Fleet::boot(std::move(members), *device, {}));
    Conversation conversation;
    conversation.start(*fleet, request, 0);
    logits.push_back(conversation.wait().front());
  }
  return logits;
}

/// Fills what models take in turn with NaN whenever a pass has stopped between two steps.
struct Poison final : runtime::FleetObserver {
  void on_run(const runtime::RunReport& run) override {
    if (run.end_step == run.steps) return;  // its logits are not delivered yet
    ++stops;
    std::ranges::fill(shared, std::byte{0xff});
  }
  void on_transfer(const runtime::PagerReport&) override {}
  std::span<std::byte> shared;
  int stops = 0;  ///< read when the fleet is gone
};

struct Outcome {
  std::vector<std::vector<Bits>> logits;
  int stops = 0;
};

/// The conversation with models that share; a request comes after every fifth step of the long
/// prompt.
Outcome answers_in_turn(std::vector<plan::Plan> plans, const Models& models) {
  size_t shared = 0;
  std::vector<runtime::FleetMember> members(kModels);
  for (size_t i = 0; i < kModels; ++i) {
    shared = std::max(shared, static_cast<size_t>(plans[i].memory.shared));
    members[i].plan = std::move(plans[i]);
    members[i].checkpoint = {std::shared_ptr<void>(), &models[i].checkpoint()};
  }
  Poison poison;
  Conversation conversation;
  WatchedDevice device;
  std::unique_ptr<runtime::Fleet> fleet;
  std::promise<void> all_came;
  size_t steps = 0, requests = 1;
  device.after_step = [&] {
    const bool others_work = conversation.ended + 1 < requests;
    if (others_work || requests > Conversation::kInterruptions || ++steps % 5 != 0) return;
    conversation.start(*fleet, requests, Conversation::model_of(requests));
    if (++requests > Conversation::kInterruptions) all_came.set_value();
  };
  runtime::FleetOptions options;
  options.observer = &poison;
  fleet = std::move(*runtime::Fleet::boot(std::move(members), device, std::move(options)));
  poison.shared = device.work.last(shared);
  conversation.start(*fleet, 0, 0);
  all_came.get_future().wait();
  Outcome outcome{.logits = conversation.wait()};
  fleet.reset();
  outcome.stops = poison.stops;
  return outcome;
}

TEST(SharedWork, ALongPromptStoppedForOthersAnswersAsItDoesAlone) {
  const Models models = all_models();
  const Outcome outcome =
      answers_in_turn(plans(models, *runtime::find_op_table("ref"), Region::kShared), models);
  EXPECT_GE(outcome.stops, 6);
  EXPECT_EQ(outcome.logits, answers_apart());
}

TEST(SharedWork, AValueThatAStepLeavesToTheNextIsMissedWhereModelsShare) {
  const Models models = all_models();
  std::vector<plan::Plan> wrong = plans(models, *runtime::find_op_table("ref"), Region::kShared);
  plan::ValuePlacement& hidden = wrong[0].values[0];
  ASSERT_EQ(hidden.region, Region::kOwn);
  hidden.offset = wrong[0].shared_value_bytes();
  hidden.region = Region::kShared;
  wrong[0].memory.shared += plan::work_aligned(hidden.bytes);
  EXPECT_NE(answers_in_turn(std::move(wrong), models).logits, answers_apart())
      << "the test above would not notice";
}

}  // namespace
}  // namespace neuros
