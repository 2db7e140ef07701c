/// From a model in memory to tokens: program, plan, boot, scheduler, executor.

#include "runtime/engine.h"

#include "device/cpu/cpu_device.h"
#include "device/open_device.h"
#include "runtime/op_tables.h"
#include "tiny_model.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using runtime::EndReason;
using runtime::NextToken;
using ::testing::HasSubstr;
using testing::TinyLimits;
using testing::TinyModel;

/// Greedy; remembers everything it was told.
class Greedy : public runtime::ProcessClient {
 public:
  void on_prompt_logits(int32_t position, std::span<const float> logits) override {
    positions.push_back(position);
    prompt_logits.emplace_back(logits.begin(), logits.end());
  }
  NextToken on_logits(std::span<float> logits) override {
    next_logits.emplace_back(logits.begin(), logits.end());
    const auto best = std::ranges::max_element(logits);
    tokens.push_back(static_cast<int32_t>(best - logits.begin()));
    std::ranges::fill(logits, 0.0f);  // ours to overwrite
    first_token.store(true);
    return {.id = tokens.back(), .stop = false};
  }
  void on_end(const runtime::ProcessEnd& end) override { ended.set_value(end); }

  runtime::ProcessEnd wait() { return ended.get_future().get(); }

  std::vector<int32_t> tokens, positions;
  std::vector<std::vector<float>> prompt_logits, next_logits;
  std::atomic<bool> first_token = false;
  std::promise<runtime::ProcessEnd> ended;
};

/// Holds the engine's thread in its first on_logits until it is let go.
class Blocker final : public Greedy {
 public:
  NextToken on_logits(std::span<float> logits) override {
    if (!first_token) {
      reached.set_value();
      let_go.get_future().wait();
    }
    return Greedy::on_logits(logits);
  }
  std::promise<void> reached, let_go;
};

class Thrower final : public Greedy {
 public:
  NextToken on_logits(std::span<float>) override { throw std::runtime_error("no more paper"); }
  void on_end(const runtime::ProcessEnd& end) override {
    Greedy::on_end(end);
    throw 1;
  }
};

const TinyModel& tiny_model() {
  static const TinyModel model;
  return model;
}

/// A booted tiny model on a device of its own.
struct Machine {
  explicit Machine(const TinyLimits& limits = {}, const std::string& table = "ref",
                   int32_t queue_max = 64, int threads = 2)
      : Machine(std::move(*device::open_device(table == "cuda" ? table : "cpu",
                                               {.threads = threads, .memory_bytes = 256 << 20})),
                limits, table, queue_max, threads) {}
  Machine(std::unique_ptr<device::Device> booted_on, const TinyLimits& limits,
          const std::string& table = "ref", int32_t queue_max = 64, int threads = 2)
      : device(std::move(booted_on)),
        plan(tiny_model().plan(*runtime::find_op_table(table), limits, threads)) {
    auto booted = runtime::Engine::boot(plan, tiny_model().checkpoint(), *device,
                                        {.queue_max = queue_max, .load = {}});
    CHECK(booted.has_value(), booted.has_value() ? "" : booted.error().message.c_str());
    engine = std::move(*booted);
  }

  template <typename Client = Greedy>
  std::shared_ptr<Client> start(std::vector<int32_t> prompt, int32_t max_new_tokens,
                                sched::Priority priority = sched::Priority::kMedium) {
    auto client = std::make_shared<Client>();
    const auto id = engine->submit({.prompt = std::move(prompt),
                                    .max_new_tokens = max_new_tokens,
                                    .priority = priority,
                                    .prompt_logits = false,
                                    .client = client});
    CHECK(id.has_value());
    last = *id;
    return client;
  }
  base::Error refusal(std::vector<int32_t> prompt, int32_t max_new_tokens) {
    const auto id = engine->submit({.prompt = std::move(prompt),
                                    .max_new_tokens = max_new_tokens,
                                    .priority = sched::Priority::kMedium,
                                    .prompt_logits = false,
                                    .client = std::make_shared<Greedy>()});
    CHECK(!id.has_value());
    return id.error();
  }

  std::unique_ptr<device::Device> device;
  plan::Plan plan;
  std::unique_ptr<runtime::Engine> engine;
  sched::ProcessId last = 0;
};

std::vector<int32_t> random_prompt(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> prompt(count);
  for (int32_t& id : prompt) {
    id = static_cast<int32_t>(random() % static_cast<uint32_t>(TinyModel::kVocabulary));
  }
  return prompt;
}

void expect_same_bits(const Greedy& a, const Greedy& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  ASSERT_EQ(a.next_logits.size(), b.next_logits.size());
  for (size_t i = 0; i < a.next_logits.size(); ++i) {
    EXPECT_EQ(std::memcmp(a.next_logits[i].data(), b.next_logits[i].data(),
                          a.next_logits[i].size() * sizeof(float)),
              0)
        << "logits of new token " << i;
  }
}

/// The same request with nothing beside it, its prompt in one piece, by one worker.
std::shared_ptr<Greedy> alone(const std::vector<int32_t>& prompt, int32_t max_new_tokens,
                              const std::string& table = "ref") {
  Machine machine({.batch_tokens = 64, .sequences = 1}, table, 64, 1);
  auto client = machine.start(prompt, max_new_tokens);
  EXPECT_EQ(client->wait().reason, EndReason::kLength);
  return client;
}

/// Whether what was a decode step has the same bits when it is computed again, as a prompt row; on
/// a GPU it need not (docs/decisions/2026-11-25-two-kinds-of-rows-on-a-gpu.md).
bool recomputes_to_the_bit(const std::string& table) {
  return table != "cuda";
}

class EveryTable : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Engine, EveryTable, ::testing::ValuesIn(runtime::op_table_names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace_if(
                               name, [](unsigned char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

TEST_P(EveryTable, InABatchOfOddChunksEqualsAlone) {
  Machine machine({.batch_tokens = 7, .sequences = 5}, GetParam());
  std::vector<std::shared_ptr<Greedy>> together;
  const auto prompt = [](uint32_t i) { return random_prompt(i, 1 + 7 * i % 40); };
  const auto count = [](uint32_t i) { return static_cast<int32_t>(1 + 5 * i % 11); };
  for (uint32_t i = 0; i < 12; ++i) together.push_back(machine.start(prompt(i), count(i)));
  for (uint32_t i = 0; i < 12; ++i) {
    const runtime::ProcessEnd end = together[i]->wait();
    EXPECT_EQ(end.reason, EndReason::kLength);
    EXPECT_EQ(end.generated_tokens, count(i));
    expect_same_bits(*together[i], *alone(prompt(i), count(i), GetParam()));
  }
}

TEST_P(EveryTable, SuspensionAndRecomputationChangeNothing) {
  Machine machine({.batch_tokens = 9, .sequences = 4, .pages = 3}, GetParam());
  std::vector<std::shared_ptr<Greedy>> together;
  for (uint32_t i = 0; i < 3; ++i) together.push_back(machine.start(random_prompt(i, 14), 20));
  for (auto& client : together) EXPECT_EQ(client->wait().reason, EndReason::kLength);
  EXPECT_GT(machine.engine->stats().scheduler.suspensions, 0U);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(together[i]->tokens.size(), 20U);
    if (!recomputes_to_the_bit(GetParam())) continue;
    expect_same_bits(*together[i], *alone(random_prompt(i, 14), 20, GetParam()));
  }
}

TEST_P(EveryTable, ReusedPagesGiveTheSameBits) {
  Machine machine({}, GetParam());
  const auto prompt = random_prompt(5, 40);
  const auto first = machine.start(prompt, 9);
  EXPECT_EQ(first->wait().cached_tokens, 0);
  const auto second = machine.start(prompt, 9);
  EXPECT_EQ(second->wait().cached_tokens, 32);
  expect_same_bits(*first, *second);

  std::vector<int32_t> longer = prompt;  // the next turn of a chat
  longer.insert(longer.end(), first->tokens.begin(), first->tokens.end());
  const auto third = machine.start(longer, 9);
  EXPECT_EQ(third->wait().cached_tokens, 48) << "pages of the answer too";
  if (recomputes_to_the_bit(GetParam())) expect_same_bits(*third, *alone(longer, 9, GetParam()));
}

std::vector<int32_t> joined(std::vector<int32_t> head, const std::vector<int32_t>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

/// Conversations of others: so many pages of the machine's model are used.
void use_pages(Machine& machine, uint32_t seed, int32_t conversations) {
  for (int32_t i = 0; i < conversations; ++i) {
    const auto other = machine.start(random_prompt(seed + static_cast<uint32_t>(i), 60), 20);
    EXPECT_EQ(other->wait().reason, EndReason::kLength);
  }
}

TEST_P(EveryTable, AConversationThatWasPushedOutGoesOnToTheBit) {
  Machine roomy({}, GetParam()), tight({.pages = 6, .host_pages = 16}, GetParam());
  const auto prompt = random_prompt(5, 40);
  const auto first = tight.start(prompt, 9);
  first->wait();
  roomy.start(prompt, 9)->wait();
  use_pages(tight, 100, 2);
  const runtime::EngineStats pushed_out = tight.engine->stats();
  EXPECT_GE(pushed_out.scheduler.host_pages_used, 3);
  EXPECT_EQ(
      pushed_out.swapped_out_bytes(),
      static_cast<int64_t>(pushed_out.scheduler.pages_swapped_out) * tight.plan.kv.page_bytes);

  const auto longer = joined(prompt, first->tokens);
  const auto back = tight.start(longer, 9), stayed = roomy.start(longer, 9);
  EXPECT_EQ(back->wait().cached_tokens, 48) << "all full pages, of the answer too";
  EXPECT_EQ(stayed->wait().cached_tokens, 48);
  expect_same_bits(*back, *stayed);
  EXPECT_EQ(tight.engine->stats().scheduler.pages_swapped_in, 3U);
  EXPECT_EQ(tight.engine->stats().tokens_prefilled, 40U + 2 * 60U + 1U);
}

TEST_P(EveryTable, ASuspendedProcessComputesNothingTwice) {
  Machine machine({.batch_tokens = 9, .sequences = 4, .pages = 3, .host_pages = 9}, GetParam());
  std::vector<std::shared_ptr<Greedy>> together;
  for (uint32_t i = 0; i < 3; ++i) together.push_back(machine.start(random_prompt(i, 14), 20));
  for (auto& client : together) EXPECT_EQ(client->wait().reason, EndReason::kLength);
  const runtime::EngineStats stats = machine.engine->stats();
  EXPECT_GT(stats.scheduler.suspensions, 0U);
  EXPECT_GT(stats.scheduler.pages_swapped_in, 0U);
  EXPECT_EQ(stats.tokens_prefilled, 3 * 14U);
  EXPECT_EQ(stats.tokens_decoded, 3 * 19U);
  for (uint32_t i = 0; i < 3; ++i) {
    expect_same_bits(*together[i], *alone(random_prompt(i, 14), 20, GetParam()));
  }
}

TEST(Engine, TheHostTierNeverHoldsMoreThanItsPages) {
  Machine machine({.pages = 6, .host_pages = 2});
  for (uint32_t i = 0; i < 4; ++i) {
    use_pages(machine, 10 * i, 1);
    EXPECT_LE(machine.engine->stats().scheduler.host_pages_used, 2);
  }
  EXPECT_EQ(machine.engine->stats().scheduler.host_pages_used, 2);
  EXPECT_GT(machine.engine->stats().scheduler.pages_swapped_out, 4U);
}

/// The CPU, whose next copy fails when it is told so.
class FaultyDevice final : public device::Device {
 public:
  FaultyDevice()
      : host_(std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}))) {}

  std::string name() const override { return host_->name(); }
  size_t memory_bytes() const override { return host_->memory_bytes(); }
  base::Result<device::Buffer> reserve(size_t bytes, const std::string& what) override {
    return host_->reserve(bytes, what);
  }
  base::Result<std::unique_ptr<device::Stream>> create_stream(
      device::StreamOptions options) override {
    auto inner = TRY(host_->create_stream(options));
    return std::make_unique<FaultyStream>(std::move(inner), fail_next);
  }

  std::atomic<bool> fail_next = false;

 protected:
  void release(std::byte*, size_t) override { CHECK(false, "buffers are the host's"); }

 private:
  class FaultyStream final : public device::Stream {
   public:
    FaultyStream(std::unique_ptr<device::Stream> inner, std::atomic<bool>& fail_next)
        : inner_(std::move(inner)), fail_next_(fail_next) {}
    base::Result<> synchronize() override { return std::exchange(result_, {}); }
    void copy(std::byte* to, const std::byte* from, size_t bytes) override {
      if (fail_next_.exchange(false)) {
        result_ = base::fail("copy: the cable is out");
      } else {
        inner_->copy(to, from, bytes);
      }
    }
    base::ThreadPool* cpu_workers() override { return inner_->cpu_workers(); }

   private:
    std::unique_ptr<device::Stream> inner_;
    std::atomic<bool>& fail_next_;
    base::Result<> result_;
  };

  std::unique_ptr<device::Device> host_;
};

TEST(Engine, ACopyThatFailsEndsItsBatchAndNothingElse) {
  auto faulty = std::make_unique<FaultyDevice>();
  std::atomic<bool>& fail_next = faulty->fail_next;
  Machine machine(std::move(faulty), {.pages = 6, .host_pages = 16});
  const auto prompt = random_prompt(5, 40);
  const auto first = machine.start(prompt, 9);
  first->wait();
  use_pages(machine, 100, 2);
  const auto longer = joined(prompt, first->tokens);
  fail_next = true;
  const runtime::ProcessEnd end = machine.start(longer, 9)->wait();
  EXPECT_EQ(end.reason, EndReason::kFailed);
  EXPECT_EQ(end.error, "copy: the cable is out");
  EXPECT_EQ(machine.engine->stats().scheduler.pages_used, 0);

  const auto again = machine.start(longer, 9);
  EXPECT_EQ(again->wait().cached_tokens, 0) << "what failed to come is not believed";
  expect_same_bits(*again, *alone(longer, 9));
  const auto other = machine.start(random_prompt(101, 60), 9);
  EXPECT_EQ(other->wait().cached_tokens, 32) << "and what did not move is still there";
  expect_same_bits(*other, *alone(random_prompt(101, 60), 9));
}

TEST(Engine, ScoringDeliversEveryPromptPositionOnceInOrder) {
  Machine machine({.batch_tokens = 7, .sequences = 3});
  const auto prompt = random_prompt(1, 20);
  machine.start(prompt, 2)->wait();  // its pages must not be reused
  for (const int32_t more : {0, 3}) {
    auto client = std::make_shared<Greedy>();
    ASSERT_TRUE(machine.engine->submit({.prompt = prompt,
                                        .max_new_tokens = more,
                                        .priority = sched::Priority::kMedium,
                                        .prompt_logits = true,
                                        .client = client}));
    const runtime::ProcessEnd end = client->wait();
    EXPECT_EQ(end.reason, EndReason::kLength);
    EXPECT_EQ(end.cached_tokens, 0);
    ASSERT_EQ(client->positions.size(), 20U);
    for (int32_t i = 0; i < 20; ++i) EXPECT_EQ(client->positions[static_cast<size_t>(i)], i);
    EXPECT_EQ(client->tokens.size(), static_cast<size_t>(more));
    if (more > 0) {
      EXPECT_EQ(client->prompt_logits.back(), client->next_logits.front());
    }
    const std::vector<int32_t> head(prompt.begin(), prompt.begin() + 6);
    EXPECT_EQ(client->prompt_logits[5], alone(head, 1)->next_logits[0]);
  }
}

TEST(Engine, AClientsStopEndsItAsFinished) {
  class Stopper final : public Greedy {
   public:
    NextToken on_logits(std::span<float> logits) override {
      const NextToken next = Greedy::on_logits(logits);
      return {.id = next.id, .stop = tokens.size() == 3};
    }
  };
  Machine machine;
  const runtime::ProcessEnd end = machine.start<Stopper>({1, 2, 3}, 50)->wait();
  EXPECT_EQ(end.reason, EndReason::kFinished);
  EXPECT_EQ(end.generated_tokens, 2) << "the stop token is not appended";
  EXPECT_EQ(end.prompt_tokens, 3);
}

TEST(Engine, CancelEndsTheProcessAndFreesItsPages) {
  Machine machine({.context = 256});
  const auto running = machine.start({1, 2, 3}, 250);
  const sched::ProcessId id = machine.last;
  while (!running->first_token) std::this_thread::yield();
  machine.engine->cancel(id);
  const runtime::ProcessEnd end = running->wait();
  EXPECT_EQ(end.reason, EndReason::kCancelled);
  EXPECT_LT(end.generated_tokens, 250);
  EXPECT_EQ(machine.engine->stats().scheduler.pages_used, 0);
  EXPECT_EQ(machine.engine->stats().scheduler.running, 0);
  machine.engine->cancel(id);   // ended before
  machine.engine->cancel(999);  // never was
  EXPECT_EQ(machine.start({4}, 2)->wait().reason, EndReason::kLength);
}

TEST(Engine, DrainFinishesWhatRunsAndRefusesMore) {
  Machine machine;
  std::vector<std::shared_ptr<Greedy>> clients;
  for (int32_t i = 0; i < 9; ++i) clients.push_back(machine.start({i, 7}, 12));
  machine.engine->drain();
  for (auto& client : clients) {
    auto end = client->ended.get_future();
    ASSERT_EQ(end.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(end.get().reason, EndReason::kLength);
  }
  const base::Error refused = machine.refusal({1}, 1);
  EXPECT_EQ(refused.kind, base::ErrorKind::kUnavailable);
  EXPECT_THAT(refused.message, HasSubstr("stopping"));
}

TEST(Engine, DestructionCancelsWhatRunsAndWhatWaits) {
  std::vector<std::shared_ptr<Greedy>> clients;
  {
    Machine machine({.context = 256, .sequences = 2});
    for (int32_t i = 0; i < 5; ++i) clients.push_back(machine.start({i}, 250));
    while (!clients[0]->first_token) std::this_thread::yield();
  }
  for (auto& client : clients) EXPECT_EQ(client->wait().reason, EndReason::kCancelled);
}

TEST(Engine, AFullQueueIsUnavailable) {
  Machine machine({.sequences = 1}, "ref", 2);
  const auto blocker = machine.start<Blocker>({1}, 3);
  blocker->reached.get_future().wait();
  const auto a = machine.start({2}, 1), b = machine.start({3}, 1);
  const base::Error refused = machine.refusal({4}, 1);
  EXPECT_EQ(refused.kind, base::ErrorKind::kUnavailable);
  EXPECT_THAT(refused.message, HasSubstr("queue full"));
  blocker->let_go.set_value();
  for (Greedy* client : {static_cast<Greedy*>(blocker.get()), a.get(), b.get()}) {
    EXPECT_EQ(client->wait().reason, EndReason::kLength);
  }
  EXPECT_EQ(machine.start({4}, 1)->wait().reason, EndReason::kLength);
}

TEST(Engine, ManyThreadsSubmitAndCancel) {
  Machine machine({.batch_tokens = 9, .sequences = 3, .pages = 9, .host_pages = 5}, "ref", 8);
  std::atomic<int> ended = 0, accepted = 0, refused = 0;
  const auto submitter = [&](uint32_t seed) {
    std::mt19937 random(seed);
    for (uint32_t i = 0; i < 12; ++i) {
      auto client = std::make_shared<Greedy>();
      const auto id =
          machine.engine->submit({.prompt = random_prompt(seed + i % 3, 1 + random() % 20),
                                  .max_new_tokens = static_cast<int32_t>(random() % 12),
                                  .priority = static_cast<sched::Priority>(random() % 3),
                                  .prompt_logits = random() % 4 == 0,
                                  .client = client});
      ++(id ? accepted : refused);
      if (!id) continue;
      if (random() % 3 == 0) machine.engine->cancel(*id);
      if (random() % 2 == 0 || i == 11) {
        client->wait();
        ++ended;
      }
      EXPECT_GE(machine.engine->stats().scheduler.pages_free, 0);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) threads.emplace_back(submitter, 100 * t);
  for (std::thread& thread : threads) thread.join();
  machine.engine->drain();
  EXPECT_EQ(accepted + refused, 48);
  EXPECT_GE(accepted.load(), ended.load());
  const sched::SchedulerStats stats = machine.engine->stats().scheduler;
  EXPECT_EQ(stats.waiting + stats.running + stats.pages_used, 0);
  EXPECT_EQ(stats.pages_free + stats.pages_cached, 9);
  EXPECT_LE(stats.host_pages_used, 5);
}

TEST(Engine, AThrowingClientFailsAlone) {
  Machine machine;
  const auto good = machine.start({1, 2}, 20);
  const auto bad = machine.start<Thrower>({1, 3}, 20);
  const runtime::ProcessEnd end = bad->wait();
  EXPECT_EQ(end.reason, EndReason::kFailed);
  EXPECT_EQ(end.error, "no more paper");
  EXPECT_EQ(good->wait().reason, EndReason::kLength);
  expect_same_bits(*good, *alone({1, 2}, 20));
}

TEST(Engine, ATokenOutsideTheVocabularyFailsTheProcess) {
  class Wild final : public Greedy {
    NextToken on_logits(std::span<float>) override { return {.id = 90, .stop = false}; }
  };
  Machine machine;
  const runtime::ProcessEnd end = machine.start<Wild>({1}, 5)->wait();
  EXPECT_EQ(end.reason, EndReason::kFailed);
  EXPECT_EQ(end.error, "next token 90, vocabulary of 90");
}

TEST(Engine, RefusesWhatItCannotRun) {
  Machine machine({.context = 32, .pages = 6, .page_tokens = 4});
  EXPECT_THAT(machine.refusal({}, 1).message, HasSubstr("empty prompt"));
  EXPECT_THAT(machine.refusal({3, 90}, 1).message, HasSubstr("token 90, vocabulary of 90"));
  EXPECT_THAT(machine.refusal({-1}, 1).message, HasSubstr("token -1"));
  EXPECT_EQ(machine.refusal(random_prompt(1, 20), 13).message,
            "engine: 20 prompt tokens and 13 new ones exceed the context of 32");
  EXPECT_EQ(machine.refusal(random_prompt(1, 20), 6).message,
            "engine: 20 prompt tokens and 6 new ones need 7 KV pages of 6");
  EXPECT_EQ(machine.start(random_prompt(1, 20), 5)->wait().reason, EndReason::kLength);
}

TEST(Engine, TimesAddUpToTheWholeAndCountsToTheTokens) {
  Machine machine;
  const auto begin = std::chrono::steady_clock::now();
  const runtime::ProcessEnd end = machine.start(random_prompt(3, 40), 30)->wait();
  const auto whole = std::chrono::steady_clock::now() - begin;
  const runtime::ProcessTimes& t = end.times;
  EXPECT_GE(t.queue_us, 0);
  EXPECT_GT(t.prefill_us, 0);
  EXPECT_GT(t.decode_us, 0);
  EXPECT_LE(t.queue_us + t.prefill_us + t.decode_us,
            std::chrono::duration_cast<std::chrono::microseconds>(whole).count());
  const runtime::EngineStats stats = machine.engine->stats();
  EXPECT_EQ(stats.tokens_prefilled, 40U);
  EXPECT_EQ(stats.tokens_decoded, 29U);
  EXPECT_EQ(stats.batches, 3U + 29U);
  EXPECT_GT(stats.busy_us, 0);
  EXPECT_LE(stats.busy_us, t.prefill_us + t.decode_us);
}

TEST(Engine, ReservesExactlyThePlansArenas) {
  const plan::Plan plan = tiny_model().plan(kernels::ref_ops(), {.host_pages = 3});
  const auto boot_with = [&](int64_t bytes) {
    const auto device =
        device::open_cpu_device({.threads = 1, .memory_bytes = static_cast<size_t>(bytes)});
    return runtime::Engine::boot(plan, tiny_model().checkpoint(), **device, {}).has_value();
  };
  const int64_t all = plan.memory.arena_bytes() + plan.memory.kv_host;
  EXPECT_GT(plan.memory.kv_host, 0);
  EXPECT_TRUE(boot_with(all));
  EXPECT_FALSE(boot_with(all - 1));
}

TEST(Engine, BootRefusesAPlanForAnotherMachine) {
  const auto device = device::open_cpu_device({.threads = 2, .memory_bytes = 64 << 20});
  plan::Plan plan = tiny_model().plan(kernels::ref_ops(), {}, 1);
  const auto& checkpoint = tiny_model().checkpoint();
  EXPECT_THAT(runtime::Engine::boot(plan, checkpoint, **device, {}).error().message,
              HasSubstr("2 workers, the plan has scratch for 1"));
  plan.workers = 2;
  plan.op_table = "abacus";
  EXPECT_THAT(runtime::Engine::boot(plan, checkpoint, **device, {}).error().message,
              HasSubstr("does not run kernels abacus"));
}

}  // namespace
}  // namespace neuros
