/// Nine models whose weights take more than three times the memory, under mixed load: nothing
/// fails, memory is what the plan predicts, and every answer is the one that the model gives alone.
/// NEUROS_FLEET_REQUESTS=n for another number of requests.

#include "base/process_memory.h"
#include "base/testing/temporary_directory.h"
#include "builder/synth.h"
#include "own_process.h"
#include "pipeline/model_fleet.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros {
namespace {

using testing::in_own_process;
using testing::kMib;
using testing::kSanitized;

constexpr std::array kSpecs = {"llama-tiny:tq2_0",  "llama-tiny:q8_0",    "llama-tiny:f16",
                               "llama-small:tq2_0", "llama-small:q4_k_m", "llama-small:q6_k",
                               "llama-small:q8_0",  "llama-small:f16",    "llama-small:bf16"};
constexpr size_t kModels = kSpecs.size();

size_t requests() {
  const char* const text = std::getenv("NEUROS_FLEET_REQUESTS");
  return text != nullptr ? std::stoul(text) : kSanitized ? 300 : 10'000;
}

/// How many answers are out, and what they were.
class Answers {
 public:
  explicit Answers(size_t count) : tokens_(count) {}
  void add(size_t request, std::span<const pipeline::TokenInfo> tokens) {
    for (const pipeline::TokenInfo& token : tokens) tokens_[request].push_back(token.id);
  }
  void end(const pipeline::GenerationEnd& end) {
    const std::lock_guard lock(mutex_);
    ++ended_;
    swap_us_ += end.times.swap_us;
    failed_ += end.reason == pipeline::FinishReason::kFailed ? 1 : 0;
    changed_.notify_all();
  }
  void wait_until_ended(int32_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= count; });
  }
  int32_t failed() const { return failed_; }
  int64_t swap_us() const { return swap_us_; }
  const std::vector<int32_t>& tokens(size_t request) const { return tokens_[request]; }

 private:
  std::vector<std::vector<int32_t>> tokens_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int32_t ended_ = 0, failed_ = 0;  ///< guarded by mutex_
  int64_t swap_us_ = 0;             ///< the same
};

class Sink final : public pipeline::GenerationSink {
 public:
  Sink(Answers& answers, size_t request) : answers_(answers), request_(request) {}
  void on_text(std::string, std::vector<pipeline::TokenInfo> tokens) override {
    answers_.add(request_, tokens);
  }
  void on_end(pipeline::GenerationEnd end) override { answers_.end(end); }

 private:
  Answers& answers_;
  size_t request_;
};

size_t model_of(size_t request) {
  return (request * 2654435761U >> 7) % kModels;
}

/// Of every request the same, whoever answers it.
pipeline::GenerationRequest draw(size_t request) {
  std::mt19937_64 random(request);
  pipeline::GenerationRequest drawn;
  for (uint64_t n = 3 + random() % 20; n > 0; --n) {
    drawn.prompt.push_back(static_cast<int32_t>(random() % 250));
  }
  drawn.max_tokens = 1 + static_cast<int32_t>(random() % 6);
  drawn.sampling.temperature = 0;
  drawn.ignore_eos = true;
  drawn.logprobs = 0;
  drawn.priority = static_cast<sched::Priority>(random() % 3);
  return drawn;
}

struct Outcome {
  bool answered = false;
  std::array<uint64_t, kModels> hashes{};  ///< of all answers of each model
  plan::MemoryPlan plan;
  int64_t steady = 0, peak = 0;  ///< predicted of the process
  base::ProcessMemory memory;
  int64_t weights = 0;  ///< of all models, where they stay
  uint64_t loads = 0;
  int64_t swap_us = 0;
};

/// At most so many at a time, as clients of a server would.
constexpr int32_t kInFlight = 300;

Outcome serve(const std::vector<pipeline::FleetModelOptions>& paths, size_t only,
              const pipeline::ModelOptions& options, size_t count) {
  Outcome outcome;
  auto fleet = pipeline::ModelFleet::open(paths, options);
  if (!fleet) {
    std::printf("%s\n", fleet.error().message.c_str());
    return outcome;
  }
  Answers answers(count);
  int32_t sent = 0;
  for (size_t request = 0; request < count; ++request) {
    const size_t model = model_of(request);
    if (only < kModels && model != only) continue;
    answers.wait_until_ended(sent - kInFlight);
    auto& target = *(*fleet)->models()[only < kModels ? 0 : model];
    if (!target.generate(draw(request), std::make_shared<Sink>(answers, request))) return outcome;
    ++sent;
  }
  answers.wait_until_ended(sent);
  outcome.memory = base::process_memory();
  outcome.plan = (*fleet)->plan().memory;
  outcome.steady = (*fleet)->plan().steady_bytes();
  outcome.peak = (*fleet)->plan().peak_bytes();
  outcome.loads = (*fleet)->fleet().snapshot().stats.loads;
  for (const auto& model : (*fleet)->models()) outcome.weights += model->plan().memory.weights;
  for (size_t request = 0; request < count; ++request) {
    uint64_t& hash = outcome.hashes[model_of(request)];
    for (const int32_t id : answers.tokens(request)) {
      hash = (hash ^ static_cast<uint64_t>(id + 1)) * 0x9e3779b97f4a7c15U;
    }
  }
  outcome.swap_us = answers.swap_us();
  outcome.answered = answers.failed() == 0;
  return outcome;
}

pipeline::ModelOptions options() {
  pipeline::ModelOptions options;
  options.context = 256;
  options.batch_tokens = 64;
  options.parallel = 16;
  options.full_contexts = 2;
  options.queue_max = 2 * kInFlight;
  return options;
}

TEST(FleetLoad, AnswersInAThirdOfTheMemoryAsModelsDoAlone) {
  const base::testing::TemporaryDirectory folder;
  std::vector<pipeline::FleetModelOptions> models;
  for (size_t i = 0; i < kModels; ++i) {
    models.push_back({.path = folder.file(std::to_string(i) + ".gguf"), .name = kSpecs[i]});
    ASSERT_TRUE(builder::synthesise(kSpecs[i], models.back().path, nullptr).has_value());
  }
  pipeline::ModelOptions shared = options();
  shared.weight_cache = folder.file("packed");
  shared.memory_bytes = 46 * kMib;
  shared.kv_swap_bytes = 4 * kMib;
  // Packs, so that the peak of the next is that of serving.
  const auto first = in_own_process<Outcome>([&] { return serve(models, kModels, shared, 1); });
  const auto fleet =
      in_own_process<Outcome>([&] { return serve(models, kModels, shared, requests()); });
  ASSERT_TRUE(first.answered && fleet.answered);
  EXPECT_GT(fleet.weights, 3 * fleet.plan.weights);
  EXPECT_GT(fleet.loads, 100U);
  std::printf(
      "%lu requests; weights %.1f MiB through %.1f MiB, %lu segments loaded; predicted "
      "%.1f MiB, resident %.1f MiB, peak %.1f MiB\n",
      requests(), static_cast<double>(fleet.weights) / kMib,
      static_cast<double>(fleet.plan.weights) / kMib, fleet.loads,
      static_cast<double>(fleet.steady) / kMib, static_cast<double>(fleet.memory.resident) / kMib,
      static_cast<double>(fleet.memory.peak) / kMib);
  std::fflush(stdout);  // or the processes to come print it again
  if (!kSanitized) {
    EXPECT_NEAR(static_cast<double>(fleet.peak), static_cast<double>(fleet.memory.peak),
                16.0 * kMib);
  }
  for (size_t i = 0; i < kModels; ++i) {
    const auto alone =
        in_own_process<Outcome>([&] { return serve({models[i]}, i, options(), requests()); });
    ASSERT_TRUE(alone.answered) << kSpecs[i];
    EXPECT_EQ(alone.hashes[i], fleet.hashes[i]) << kSpecs[i];
  }
}

/// Copies of the weights that wait in memory count.
TEST(FleetLoad, TakesWhatThePlanSaysWithWeightsInMemory) {
  const base::testing::TemporaryDirectory folder;
  std::vector<pipeline::FleetModelOptions> models;
  for (size_t i = 0; i < kModels; ++i) {
    models.push_back({.path = folder.file(std::to_string(i) + ".gguf"),
                      .name = kSpecs[i],
                      .home = plan::Home::kPageable});
    ASSERT_TRUE(builder::synthesise(kSpecs[i], models.back().path, nullptr).has_value());
  }
  pipeline::ModelOptions shared = options();
  shared.memory_bytes = 46 * kMib;
  const auto fleet = in_own_process<Outcome>([&] { return serve(models, kModels, shared, 200); });
  ASSERT_TRUE(fleet.answered);
  EXPECT_GT(fleet.loads, 10U);
  EXPECT_GT(fleet.peak, fleet.weights);
  if (kSanitized) return;  // shadow memory is resident too
  EXPECT_NEAR(static_cast<double>(fleet.peak), static_cast<double>(fleet.memory.peak), 16.0 * kMib);
  EXPECT_NEAR(static_cast<double>(fleet.steady), static_cast<double>(fleet.memory.resident),
              16.0 * kMib);
}

}  // namespace
}  // namespace neuros
