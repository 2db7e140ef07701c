/// Predicted memory against what a process that boots the plan and answers requests then has.

#include "base/process_memory.h"
#include "builder/synth.h"
#include "own_process.h"
#include "pipeline/language_model.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace neuros {
namespace {

namespace fs = std::filesystem;

using testing::in_own_process;
using testing::kMib;
using testing::kSanitized;

class Collector final : public pipeline::GenerationSink {
 public:
  void on_text(std::string, std::vector<pipeline::TokenInfo>) override {}
  void on_end(pipeline::GenerationEnd end) override { ended.set_value(end.completion_tokens); }
  std::promise<int32_t> ended;
};

/// `count` sampled answers at once, each after a prompt of its own.
bool answer(pipeline::LanguageModel& model, int32_t count) {
  std::vector<std::shared_ptr<Collector>> sinks;
  for (int32_t i = 0; i < count; ++i) {
    pipeline::GenerationRequest request;
    for (int32_t k = 0; k < 40; ++k) request.prompt.push_back((i * 7 + k * 3) % 250);
    request.max_tokens = 4;
    request.ignore_eos = true;
    sinks.push_back(std::make_shared<Collector>());
    if (!model.generate(std::move(request), sinks.back())) return false;
  }
  return std::ranges::all_of(sinks,
                             [](const auto& sink) { return sink->ended.get_future().get() == 4; });
}

struct Outcome {
  bool answered = false;
  plan::MemoryPlan plan;
  base::ProcessMemory memory;  ///< after the answers
};

Outcome boot_and_answer(const std::string& path, const pipeline::ModelOptions& options) {
  Outcome outcome;
  const auto model = pipeline::LanguageModel::open(path, options);
  if (!model) {
    std::printf("%s\n", model.error().message.c_str());
    return outcome;
  }
  outcome.answered = answer(**model, 16);
  outcome.plan = (*model)->plan().memory;
  outcome.memory = base::process_memory();
  return outcome;
}

/// Within 2 %, or 16 MiB where that is more: what code and stacks take differs between systems.
void expect_close(const char* what, int64_t predicted, int64_t measured) {
  std::printf("%s: predicted %.1f MiB, measured %.1f MiB\n", what,
              static_cast<double>(predicted) / kMib, static_cast<double>(measured) / kMib);
  EXPECT_NEAR(static_cast<double>(predicted), static_cast<double>(measured),
              static_cast<double>(std::max(predicted / 50, 16 * kMib)))
      << what;
}

void expect_predicted(const std::string& path, const pipeline::ModelOptions& options) {
  const auto outcome = in_own_process<Outcome>([&] { return boot_and_answer(path, options); });
  ASSERT_TRUE(outcome.answered);
  ASSERT_GT(outcome.memory.peak, 0);
  std::printf("anonymous %.1f MiB, files %.1f MiB\n",
              static_cast<double>(outcome.memory.anonymous) / kMib,
              static_cast<double>(outcome.memory.mapped_files) / kMib);
  expect_close("peak", outcome.plan.peak_bytes(), outcome.memory.peak);
  expect_close("resident", outcome.plan.steady_bytes(), outcome.memory.resident);
}

TEST(Memory, OfASyntheticModelIsWhatThePlanPredicts) {
  if (kSanitized) GTEST_SKIP() << "shadow memory is resident too";
  const std::string path =
      (fs::path(::testing::TempDir()) / ("memory_test-" + std::to_string(::getpid()) + ".gguf"))
          .string();
  const bool made = in_own_process<bool>(
      [&] { return builder::synthesise("qwen2-0.5b:q4_k_m", path, nullptr).has_value(); });
  pipeline::ModelOptions options;
  options.context = 2048;
  if (made) expect_predicted(path, options);
  options.kv_swap_bytes = 64 * kMib;
  if (made) expect_predicted(path, options);
  fs::remove(path);
  EXPECT_TRUE(made);
}

TEST(Memory, OfASmallModelIsWhatThePlanPredicts) {
  if (kSanitized) GTEST_SKIP() << "shadow memory is resident too";
  expect_predicted(std::string(NEUROS_SOURCE_DIR) + "/zoo/assistant/assistant.gguf",
                   pipeline::ModelOptions());
}

}  // namespace
}  // namespace neuros
