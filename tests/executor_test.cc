/// A pass on a device with memory of its own, which the host stands in for: what comes back of it.

#include "runtime/executor.h"

#include "device/cpu/cpu_device.h"
#include "far_device.h"
#include "runtime/kv_swap.h"
#include "runtime/weight_packing.h"
#include "tiny_model.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros {
namespace {

using testing::TinyModel;

/// The CPU's stream, which counts what is copied.
class CountingStream final : public device::Stream {
 public:
  explicit CountingStream(std::unique_ptr<device::Stream> inner) : inner_(std::move(inner)) {}
  base::Result<> synchronize() override { return inner_->synchronize(); }
  void copy(std::byte* to, const std::byte* from, size_t bytes) override {
    bytes_copied += bytes;
    inner_->copy(to, from, bytes);
  }
  base::ThreadPool* cpu_workers() override { return inner_->cpu_workers(); }

  size_t bytes_copied = 0;

 private:
  std::unique_ptr<device::Stream> inner_;
};

/// The reference's ops as if a batch had to be staged and logits copied.
kernels::OpTable far_ops(kernels::TopLogitsFn top_logits) {
  kernels::OpTable table = kernels::ref_ops();
  table.host_bytes = [](const kernels::OpLimits&) { return int64_t{64}; };
  table.stage_batch = [](const kernels::OpContext&, const kernels::BatchView&) {};
  table.top_logits = top_logits;
  return table;
}

runtime::WorkArena reserve_work(const plan::Plan& plan, device::Device& device) {
  const plan::Plan* const plans[] = {&plan};
  return std::move(*runtime::WorkArena::reserve(plans, device));
}

/// A booted tiny model without an engine.
struct Machine {
  explicit Machine(const kernels::OpTable& table)
      : ops(table),
        device(std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}))),
        plan(model.plan(ops, {.host_pages = 2})),
        stream(std::move(*device->create_stream())),
        work(reserve_work(plan, *device)),
        arenas(std::move(*runtime::Arenas::reserve(plan.memory, *device, work.of(0)))) {
    CHECK(
        runtime::pack_weights(plan, model.checkpoint(), ops, {*device, stream, arenas.weights}, {})
            .has_value());
    executor.emplace(plan, ops, stream, arenas);
    stream.bytes_copied = 0;
  }
  std::vector<float> logits(int32_t row) {
    const auto found = executor->logits(row);
    CHECK(found.has_value());
    return {found->begin(), found->end()};
  }

  TinyModel model;
  kernels::OpTable ops;
  std::unique_ptr<device::Device> device;
  plan::Plan plan;
  CountingStream stream;
  runtime::WorkArena work;
  runtime::Arenas arenas;
  std::optional<runtime::Executor> executor;
};

using Tokens = std::vector<sched::TokenId>;
const Tokens kThree{5, 6, 7}, kTwo{1, 2}, kOne{9};
const std::vector<sched::PageId> kPages{0, 1, 2, 3};

/// A page by itself.
std::span<const sched::PageId> page(size_t number) {
  return std::span(kPages).subspan(number, 1);
}

/// Two sequences that ask for their last row, and one of two tokens that is scored.
sched::Batch batch() {
  sched::BatchItem first{.id = 1, .tokens = kThree, .pages = page(0), .logits_last = true};
  sched::BatchItem scored{.id = 2, .tokens = kTwo, .pages = page(1), .logits_all = true};
  sched::BatchItem last{.id = 3, .tokens = kOne, .pages = page(2), .logits_last = true};
  return {.items = {first, scored, last}};
}

constexpr size_t kRowBytes = TinyModel::kVocabulary * sizeof(float);

TEST(Executor, CopiesScoredRowsAndOthersWhenAsked) {
  Machine near(kernels::ref_ops()), far(far_ops(kernels::ref_ops().top_logits));
  ASSERT_TRUE(near.executor->forward(batch()) && far.executor->forward(batch()));
  EXPECT_EQ(near.executor->top_logits(0), nullptr) << "the host has all logits";
  EXPECT_EQ(far.stream.bytes_copied, 2 * kRowBytes);
  ASSERT_EQ(far.executor->logit_rows(), 4);
  for (int32_t row = 0; row < 4; ++row) {
    const kernels::TopLogits* top = far.executor->top_logits(row);
    ASSERT_NE(top, nullptr);
    const std::vector<float> logits = near.logits(row);
    EXPECT_EQ(far.logits(row), logits);
    EXPECT_EQ(top->vocabulary, TinyModel::kVocabulary);
    EXPECT_EQ(top->best[0].logit, *std::ranges::max_element(logits));
  }
  EXPECT_EQ(far.stream.bytes_copied, 4 * kRowBytes);
  far.logits(0);
  EXPECT_EQ(far.stream.bytes_copied, 4 * kRowBytes) << "once";
}

using Kind = sched::PageMove::Kind;

TEST(Executor, CarriesPagesToTheHostAndBackBeforeItComputes) {
  Machine stays(kernels::ref_ops()), moves(kernels::ref_ops());
  const sched::BatchItem first{.id = 1, .tokens = kThree, .pages = page(0), .logits_last = true};
  sched::BatchItem next{
      .id = 1, .first_position = 3, .tokens = kOne, .pages = page(0), .logits_last = true};
  ASSERT_TRUE(stays.executor->forward({.items = {first}}));
  ASSERT_TRUE(stays.executor->forward({.items = {next}}));

  ASSERT_TRUE(moves.executor->forward({.items = {first}}));
  const sched::BatchItem other{.id = 2, .tokens = kTwo, .pages = page(0), .logits_last = true};
  ASSERT_TRUE(moves.executor->forward({.items = {other}, .moves = {{Kind::kOut, 0, 1}}}));
  next.pages = page(3);
  const sched::Batch back{.items = {next}, .moves = {{Kind::kIn, 3, 1}}};  // outlives the pass
  ASSERT_TRUE(moves.executor->begin_pass(back));
  ASSERT_TRUE(moves.executor->run_steps(0, moves.executor->steps(), true, [] { return true; }));
  ASSERT_TRUE(moves.executor->finish_pass());
  EXPECT_EQ(moves.logits(0), stays.logits(0));
  EXPECT_EQ(moves.stream.bytes_copied, 2 * static_cast<size_t>(moves.plan.kv.page_bytes));
}

TEST(KvSwap, KeepsTheOrderOfMovesOnADeviceThatCopiesLate) {
  constexpr size_t kPage = 4096;
  testing::FarDevice far(1 << 20);
  const device::Buffer pages = *far.reserve(3 * kPage, "pages");
  const device::Buffer slots = *far.reserve_host(kPage, "slots");
  const auto stream = *far.create_stream({});
  for (size_t page = 0; page < 3; ++page) {
    std::fill_n(pages.data() + page * kPage, kPage, static_cast<std::byte>('a' + page));
  }
  plan::KvPlan kv;
  kv.page_bytes = kPage;
  runtime::KvSwap swap(kv, *stream, pages.span(), slots.span());
  // a makes room for b, b for c: one slot serves twice.
  swap.carry_out(std::vector<sched::PageMove>{
      {Kind::kOut, 1, 0}, {Kind::kIn, 0, 0}, {Kind::kOut, 2, 0}, {Kind::kIn, 1, 0}});
  EXPECT_EQ(pages.data()[0], std::byte{'a'}) << "nobody has waited yet";
  ASSERT_TRUE(stream->synchronize());
  std::string held;
  for (size_t at = 0; at < 3 * kPage; at += kPage / 2) {
    held += static_cast<char>(pages.data()[at]);
  }
  EXPECT_EQ(held, "bbcccc");
}

TEST(Executor, TellsOfTheOpsOfWatchedPasses) {
  class Watcher final : public runtime::PassObserver {
   public:
    bool watches() const override { return on; }
    void on_pass(const runtime::PassTimes& times) override {
      ++passes;
      prompt_tokens = times.prompt_tokens;
      ops = times.ops_us.size();
      us = std::accumulate(times.ops_us.begin(), times.ops_us.end(), times.top_logits_us);
      whole_us = times.ended_us - times.started_us;
    }
    bool on = false;
    int passes = 0;
    int64_t prompt_tokens = 0, whole_us = 0;
    size_t ops = 0;
    double us = 0;
  };
  Watcher watcher;
  Machine machine(far_ops(kernels::ref_ops().top_logits));
  machine.executor->observe(&watcher);
  ASSERT_TRUE(machine.executor->forward(batch()));
  EXPECT_EQ(watcher.passes, 0);
  watcher.on = true;
  ASSERT_TRUE(machine.executor->forward(batch()));
  EXPECT_EQ(watcher.passes, 1);
  EXPECT_EQ(watcher.prompt_tokens, 6);
  size_t ops = 0;
  for (const plan::Segment& segment : machine.plan.program.segments) ops += segment.ops.size();
  EXPECT_EQ(watcher.ops, ops);
  EXPECT_GT(watcher.us, 0.0);
  EXPECT_LE(watcher.us, static_cast<double>(watcher.whole_us) + 1.0);
}

TEST(Executor, CopiesEveryRowWhereTheGreatestAreNotMade) {
  Machine near(kernels::ref_ops()), far(far_ops(nullptr));
  ASSERT_TRUE(near.executor->forward(batch()) && far.executor->forward(batch()));
  EXPECT_EQ(far.executor->top_logits(0), nullptr);
  EXPECT_EQ(far.stream.bytes_copied, 4 * kRowBytes);
  EXPECT_EQ(far.logits(3), near.logits(3));
}

/// What ops were given last, of all passes.
const kernels::KernelChoices* g_choices = nullptr;

/// The reference's ops as if they had ways to run prompts of the tiny model's output matrix.
kernels::OpTable choosing_ops() {
  kernels::OpTable ops = kernels::ref_ops();
  ops.choice_values = [](std::string_view, const kernels::ChoiceKey& key) -> std::vector<int32_t> {
    if (key.op != kernels::ChoiceOp::kPrompt) return {};
    return {256, 64};
  };
  ops.embed = [](const kernels::OpContext& context, const kernels::EmbedArgs& args) {
    g_choices = context.choices;
    kernels::ref_ops().embed(context, args);
  };
  return ops;
}

TEST(Executor, HandsTheTablesChoicesToTheOps) {
  Machine machine(choosing_ops());
  for (plan::KernelChoice& choice : machine.plan.kernel_choices) {
    if (choice.dtype != base::DType::kQ8_0 || choice.rows != 32 || choice.cols != 32) continue;
    choice.value = 64;
    choice.source = plan::KernelChoice::Source::kTable;
  }
  runtime::Executor executor(machine.plan, machine.ops, machine.stream, machine.arenas);
  ASSERT_TRUE(executor.forward(batch()));
  ASSERT_NE(g_choices, nullptr);
  ASSERT_EQ(g_choices->all().size(), 1u) << "estimates are the kernels' own";
  const kernels::ChoiceKey key{kernels::ChoiceOp::kPrompt, base::DType::kQ8_0, 32, 32, 7};
  EXPECT_EQ(g_choices->find(key), 64);

  ASSERT_TRUE(machine.executor->forward(batch()));
  EXPECT_EQ(g_choices, nullptr) << "the plan had no row";
}

}  // namespace
}  // namespace neuros
