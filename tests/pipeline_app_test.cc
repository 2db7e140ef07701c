/// Pipelines over real models, two of which share less memory than their weights take.

#include "pipeline/pipeline_app.h"

#include "base/testing/temporary_directory.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/synth.h"
#include "pipeline/answer.h"
#include "pipeline/spec_fleet.h"
#include "pipeline/stages/testing/recording_sink.h"
#include "plan/map_hash.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using pipeline::FinishReason;
using pipeline::PipelineApp;
using pipeline::testing::RecordingSink;
using ::testing::HasSubstr;

constexpr const char* kModels = R"(
models:
  first: { file: first.gguf, context: 256 }
  second: { file: second.gguf, context: 256 }
)";
constexpr const char* kStages = R"(
stages:
  - { id: draft, run: first, in: $request, max_output_tokens: 8 }
  - { id: count, tool: exec, command: [wc, -c], in: $draft, latency: 1-20ms }
  - { id: say, run: second, prompt: "Say: $request", after: count, max_output_tokens: 8 }
)";

class PipelineAppTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<base::testing::TemporaryDirectory>();
    for (const char* name : {"first.gguf", "second.gguf"}) {
      ASSERT_TRUE(builder::synthesise("llama-tiny:q8_0", folder_->file(name), nullptr));
    }
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static pipeline::ModelOptions options() {
    pipeline::ModelOptions options;
    options.threads = 2;
    options.batch_tokens = 64;
    options.parallel = 4;
    options.full_contexts = 1;
    options.weight_cache = folder_->file("packed");
    return options;
  }
  static base::Result<std::unique_ptr<PipelineApp>> open(const std::string& yaml,
                                                         size_t memory_bytes = 0) {
    pipeline::ModelOptions chosen = options();
    chosen.memory_bytes = memory_bytes;
    return PipelineApp::open(folder_->write("pipeline.yaml", yaml), std::move(chosen));
  }
  static std::string refusal(const std::string& yaml) {
    const auto app = open(yaml);
    return app ? "opened" : app.error().message;
  }

  /// The most memory in which the weights of both are not there at the same time.
  static size_t too_little_memory(const std::string& yaml) {
    const auto spec = builder::parse_pipeline(yaml, "pipeline.yaml");
    const auto models = pipeline::fleet_models(*spec, folder_->path());
    pipeline::ModelOptions chosen = options();
    for (size_t mib = 128; mib > 0; --mib) {
      chosen.memory_bytes = mib << 20;
      const auto plan = pipeline::plan_fleet(*models, chosen);
      if (plan && plan->pages()) return chosen.memory_bytes;
    }
    return 0;
  }

  static pipeline::PipelineRequest greedy(PipelineApp& app, const std::string& text) {
    pipeline::PipelineRequest request{.request = pipeline::StageValue::of_text(text),
                                      .facts = app.facts(text, text, 0)};
    request.parameters.sampling = [](pipeline::SamplingParams params) {
      params.temperature = 0;
      return params;
    };
    request.parameters.ignore_eos = true;
    return request;
  }
  static std::shared_ptr<RecordingSink> ask(PipelineApp& app, const std::string& text) {
    auto sink = std::make_shared<RecordingSink>();
    EXPECT_TRUE(app.executor()->start(greedy(app, text), sink));
    return sink;
  }

  static inline std::unique_ptr<base::testing::TemporaryDirectory> folder_;
};

/// What a model says by itself to a raw text.
std::string said_alone(pipeline::LanguageModel& model, const std::string& prompt) {
  pipeline::GenerationRequest request;
  request.prompt = model.tokenizer().encode(prompt);
  request.max_tokens = 8;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return pipeline::answer(model, std::move(request)).value().text;
}

TEST_F(PipelineAppTest, AnswersInLessMemoryThanItsModelsTake) {
  const std::string yaml = std::string(kModels) + kStages;
  const size_t memory = too_little_memory(yaml);
  ASSERT_GT(memory, 0U);
  const auto app = open(yaml, memory);
  ASSERT_TRUE(app) << app.error().message;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 6; ++i) sinks.push_back(ask(**app, "question " + std::to_string(i)));
  int32_t longest_draft = 0;
  for (int i = 0; i < 6; ++i) {
    const pipeline::PipelineEnd& end = sinks[static_cast<size_t>(i)]->wait();
    ASSERT_EQ(end.reason, FinishReason::kLength) << end.error.message;
    EXPECT_EQ(sinks[static_cast<size_t>(i)]->text(),
              said_alone((*app)->model("second"), "Say: question " + std::to_string(i)));
    ASSERT_EQ(end.stages.size(), 3U);
    for (const pipeline::StageReport& stage : end.stages) {
      const runtime::ProcessTimes& times = stage.times;
      EXPECT_LE(times.queue_us + times.swap_us + times.prefill_us + times.decode_us,
                stage.end_us - stage.start_us + 10)
          << stage.stage;
    }
    longest_draft = std::max(longest_draft, end.stages[0].completion_tokens);
    EXPECT_EQ(end.stages[1].model, "");
    EXPECT_EQ(end.stages[2].completion_tokens, 8);
  }
  EXPECT_EQ(longest_draft, 8) << "drafts are drawn, and one alone may end by itself";
  EXPECT_GT((*app)->fleet().fleet().snapshot().stats.drops, 0U);
}

/// Whether all models are ready, and in which order they came to be.
struct BootDiary {
  pipeline::OnModelBoot listener() {
    return [this](const std::vector<std::string>& ids, const runtime::Engine&) {
      const std::lock_guard lock(mutex);
      order.insert(order.end(), ids.begin(), ids.end());
    };
  }
  std::vector<std::string> heard() {
    const std::lock_guard lock(mutex);
    return order;
  }

  std::mutex mutex;
  std::vector<std::string> order;
};

TEST_F(PipelineAppTest, OnDemandTheModelOfTheFirstStageIsFirstAndAnswersAreTheSame) {
  // The file names the models the other way round.
  const std::string models = R"(
models:
  second: { file: second.gguf, context: 256 }
  first: { file: first.gguf, context: 256 }
)";
  const std::string stages = std::string(models) + kStages;
  const auto eager = open(stages);
  ASSERT_TRUE(eager) << eager.error().message;
  BootDiary diary;
  pipeline::ModelOptions chosen = options();
  chosen.on_model_boot = diary.listener();
  const std::string path =
      folder_->write("on_demand.yaml", stages + "memory: { boot: on-demand }\n");
  const auto app = PipelineApp::open(path, chosen);
  ASSERT_TRUE(app) << app.error().message;
  EXPECT_EQ((*app)->model("first").boot_state().state, runtime::ModelState::kReady);
  const auto sink = ask(**app, "question");
  ASSERT_EQ(sink->wait().reason, FinishReason::kLength) << sink->wait().error.message;
  const auto expected = ask(**eager, "question");
  expected->wait();
  EXPECT_EQ(sink->text(), expected->text());
  EXPECT_THAT(diary.heard(), ::testing::ElementsAre("first", "second"));
  EXPECT_EQ(plan::map_hash((*app)->fleet().plan()), plan::map_hash((*eager)->fleet().plan()));
}

TEST_F(PipelineAppTest, TheFlagForBootWinsOverTheFile) {
  BootDiary diary;
  pipeline::ModelOptions chosen = options();
  chosen.boot = sched::BootMode::kEager;
  chosen.on_model_boot = diary.listener();
  const std::string path =
      folder_->write("flag.yaml", std::string(kModels) + kStages + "memory: { boot: on-demand }\n");
  const auto app = PipelineApp::open(path, chosen);
  ASSERT_TRUE(app) << app.error().message;
  EXPECT_EQ(diary.heard().size(), 2U) << "before it was up";
}

TEST_F(PipelineAppTest, AStageWhoseModelFailedSaysSoByName) {
  const std::string yaml = std::string(kModels) + R"(
stages:
  - { id: draft, run: first, in: $request, max_output_tokens: 8 }
  - { id: say, run: second, in: $request, after: draft, max_output_tokens: 8 }
)";
  pipeline::ModelOptions chosen = options();
  chosen.memory_bytes = too_little_memory(yaml);
  chosen.weight_cache = folder_->file("not_writable");
  const std::string path = folder_->write("failing.yaml", yaml);
  ASSERT_TRUE(PipelineApp::open(path, chosen)) << "packs the weights";
  for (const auto& entry : std::filesystem::directory_iterator(chosen.weight_cache)) {
    if (entry.path().filename().string().find("second") == std::string::npos) continue;
    std::filesystem::remove(entry.path());
    std::filesystem::create_directory(entry.path());  // no file can be written there
  }
  for (const sched::BootMode mode : {sched::BootMode::kEager, sched::BootMode::kOnDemand}) {
    chosen.boot = mode;
    const auto app = PipelineApp::open(path, chosen);
    ASSERT_TRUE(app) << app.error().message;
    const pipeline::PipelineEnd end = ask(**app, "question")->wait();
    EXPECT_EQ(end.reason, FinishReason::kFailed);
    EXPECT_THAT(end.error.message, ::testing::StartsWith("stage say: "));
    EXPECT_THAT(end.error.message, HasSubstr("not_writable"));
    EXPECT_EQ((*app)->model("second").boot_state().state, runtime::ModelState::kFailed);
    EXPECT_FALSE(said_alone((*app)->model("first"), "hello").empty()) << "the other serves on";
  }
}

TEST_F(PipelineAppTest, CancelsARequestOnItsWay) {
  const auto app = open(R"(
models: { first: { file: first.gguf, context: 2048 } }
stages: [{ id: long, run: first, in: $request }]
)");
  ASSERT_TRUE(app) << app.error().message;
  auto sink = std::make_shared<RecordingSink>();
  const auto id = (*app)->executor()->start(greedy(**app, "go on"), sink);
  ASSERT_TRUE(id);
  sink->wait_for_pieces(1);
  (*app)->executor()->cancel(*id);
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
}

TEST_F(PipelineAppTest, ErrorsOfAStageSayWhichLimit) {
  const auto app = open(std::string(kModels) + R"(
stages: [{ id: short, run: first, in: $request, max_input_tokens: 4 }]
)");
  ASSERT_TRUE(app) << app.error().message;
  EXPECT_THAT(ask(**app, "more than four tokens of text")->wait().error.message,
              HasSubstr("stage short: the prompt has "));
  const auto whole = open(std::string(kModels) + "stages: [{ id: all, run: first, in: $request }]");
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_THAT(ask(**whole, std::string(2000, '#'))->wait().error.message,
              HasSubstr("the context of first holds 256 with the answer"));
}

TEST_F(PipelineAppTest, ARouteCountsTokensOfThePrompt) {
  const auto app = open(std::string(kModels) + R"(
routes: { pick: "if prompt_len < 10 -> first; else if context_len < 100 -> second; else -> first" }
)");
  ASSERT_TRUE(app) << app.error().message;
  EXPECT_EQ((*app)->executor(), nullptr);
  const builder::RouteSpec& route = (*app)->spec().routes.front();
  const std::string longer(50, '#'), longest(500, '#');
  EXPECT_EQ((*app)->pick(route, "hi", "hi").value()->id(), "first");
  EXPECT_EQ((*app)->pick(route, longer, longer).value()->id(), "second");
  EXPECT_EQ((*app)->pick(route, longer, longest).value()->id(), "first");
}

TEST_F(PipelineAppTest, RefusesWhatItCannotRunBeforeItOpensAnything) {
  EXPECT_THAT(refusal(std::string("models: { ears: { file: w.gguf, class: speech } }")),
              HasSubstr("pipeline.yaml: models.ears: class speech"));
  EXPECT_THAT(refusal("models: { m: { file: absent.gguf } }\n"
                      "stages: [{ id: docs, tool: retrieve, index: notes.db, in: $request }]"),
              HasSubstr("pipeline.yaml: stages.docs.tool: retrieve: this version cannot run it"));
  EXPECT_THAT(refusal("name: m\nmodels: { m: { file: absent.gguf } }\n"
                      "stages: [{ id: a, run: m, in: $request }]"),
              HasSubstr("pipeline.yaml: name: m: a model has this id"));
  EXPECT_THAT(refusal("models: { m: { file: absent.gguf } }"), HasSubstr("absent.gguf"));
}

}  // namespace
}  // namespace neuros
