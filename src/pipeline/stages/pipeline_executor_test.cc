#include "pipeline/stages/pipeline_executor.h"

#include "pipeline/stages/latency_window.h"
#include "pipeline/stages/testing/fake_stage_model.h"
#include "pipeline/stages/testing/recording_sink.h"
#include "pipeline/stages/testing/stage_spec.h"

#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using ::testing::ElementsAre;
using testing::FakeStageModel;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RecordingSink;

/// A tool that is a function.
class FunctionTool final : public Tool {
 public:
  using Function = std::function<base::Result<std::string>(const ToolCall&, std::stop_token)>;
  explicit FunctionTool(Function function) : function_(std::move(function)) {}
  base::Result<std::string> run(const ToolCall& call, std::stop_token stop) override {
    return function_(call, std::move(stop));
  }

 private:
  Function function_;
};

/// Returns once it is asked to stop.
base::Result<std::string> until_stopped(const ToolCall&, std::stop_token stop) {
  std::latch stopped(1);
  const std::stop_callback callback(stop, [&] { stopped.count_down(); });
  stopped.wait();
  return base::fail("stopped", base::ErrorKind::kCancelled);
}

class PipelineExecutorTest : public ::testing::Test {
 protected:
  void open(const std::string& stages) {
    executor_.reset();
    PipelineDefinition definition{.spec = testing::spec_of(stages)};
    definition.models = {&m_, &n_};
    for (const auto& [name, function] : tools_) {
      definition.tools[name] =
          [function = function](const ToolContext&) -> base::Result<std::unique_ptr<Tool>> {
        return std::make_unique<FunctionTool>(function);
      };
    }
    definition.expect = [this](size_t model, bool expected) {
      const std::lock_guard lock(mutex_);
      expectations_.push_back(std::string(expected ? "+" : "-") + "mn"[model]);
    };
    definition.tool_threads = tool_threads_;
    definition.requests_max = requests_max_;
    auto executor = PipelineExecutor::create(std::move(definition));
    ASSERT_TRUE(executor) << executor.error().message;
    executor_ = std::move(*executor);
  }

  static PipelineRequest request(const std::string& text = "hi") {
    return {.request = StageValue::of_text(text)};
  }
  std::shared_ptr<RecordingSink> start(PipelineRequest request = PipelineExecutorTest::request()) {
    auto sink = std::make_shared<RecordingSink>();
    const auto id = executor_->start(std::move(request), sink);
    EXPECT_TRUE(id) << id.error().message;
    last_id_ = id.value_or(0);
    return sink;
  }
  std::vector<std::string> prompts(const FakeStageModel& model) const {
    std::vector<std::string> all;
    for (const ModelCall& call : model.calls()) all.push_back(call.prompt);
    return all;
  }
  std::vector<std::string> expectations() const {
    const std::lock_guard lock(mutex_);
    return expectations_;
  }

  FakeStageModel m_, n_;
  std::map<std::string, FunctionTool::Function> tools_;
  int tool_threads_ = 4;
  int32_t requests_max_ = 100;
  uint64_t last_id_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> expectations_;  ///< guarded by mutex_
  std::unique_ptr<PipelineExecutor> executor_;
};

TEST_F(PipelineExecutorTest, PassesTextsAlongAndStreamsTheLast) {
  open("[{id: a, run: m, prompt: 'a: $request'}, {id: b, run: n, prompt: 'b: $a'}]");
  const auto sink = start();
  m_.give("a: hi", "on");
  m_.give("a: hi", "e");
  m_.end("a: hi");
  n_.give("b: one", "tw");
  sink->wait_for_pieces(1);
  EXPECT_TRUE(sink->started());
  EXPECT_EQ(sink->ends(), 0) << "streamed before the end";
  n_.give("b: one", "o");
  n_.end("b: one", FinishReason::kLength);
  const PipelineEnd& end = sink->wait();
  EXPECT_EQ(end.reason, FinishReason::kLength);
  EXPECT_THAT(sink->pieces(), ElementsAre("tw", "o"));
  ASSERT_EQ(end.stages.size(), 2U);
  EXPECT_EQ(end.stages[0].stage, "a");
  EXPECT_EQ(end.stages[0].model, "m");
  EXPECT_EQ(end.stages[0].prompt_tokens, 5);
  EXPECT_EQ(end.stages[0].times.swap_us, 2);
  EXPECT_EQ(end.stages[1].stage, "b");
  EXPECT_LE(end.stages[0].start_us, end.stages[0].end_us);
  EXPECT_LE(end.stages[0].end_us, end.stages[1].start_us);
}

TEST_F(PipelineExecutorTest, IndependentStagesRunAtTheSameTime) {
  open(R"([{id: a, run: m, prompt: "a"}, {id: b, run: m, prompt: "b"},
           {id: c, run: n, prompt: "$a $b"}])");
  const auto sink = start();
  m_.wait_for("a");
  m_.wait_for("b");
  m_.give("b", "2");
  m_.end("b");
  m_.give("a", "1");
  m_.end("a");
  n_.end("1 2");
  EXPECT_EQ(sink->wait().reason, FinishReason::kStop);
}

TEST_F(PipelineExecutorTest, ToolsRunBesideEachOtherAndBesideModels) {
  std::latch both(2);
  tools_["meet"] = [&](const ToolCall& call, std::stop_token) -> base::Result<std::string> {
    both.arrive_and_wait();
    return call.input + "!";
  };
  open(R"([{id: a, tool: meet, in: $request}, {id: b, tool: meet, in: $request},
           {id: c, run: m, prompt: "c"}, {id: d, run: n, prompt: "$a $b $c"}])");
  const auto sink = start();
  m_.give("c", "C");
  m_.end("c");
  n_.give("hi! hi! C", "done");
  n_.end("hi! hi! C");
  sink->wait();
  EXPECT_EQ(sink->text(), "done");
}

TEST_F(PipelineExecutorTest, AToolsTextIsTheAnswerOfALastTool) {
  tools_["upper"] = [](const ToolCall& call, std::stop_token) -> base::Result<std::string> {
    return call.input + ", said the tool";
  };
  m_.answer = [](const ModelCall&) { return "one"; };
  open("[{id: a, run: m, in: $request}, {id: t, tool: upper, in: [$a, $request]}]");
  const auto sink = start();
  const PipelineEnd& end = sink->wait();
  EXPECT_THAT(sink->pieces(), ElementsAre("one\n\nhi, said the tool"));
  EXPECT_EQ(end.stages[1].model, "");
  EXPECT_GE(end.stages[1].times.queue_us, 0);
}

TEST_F(PipelineExecutorTest, SkippedStagesDoNotRunAndASkippedAnswerIsEmpty) {
  m_.answer = [](const ModelCall&) { return R"({"next": "none"})"; };
  open("[{id: a, run: m, in: $request}, {id: b, run: n, in: $a, when: \"$a.next == 'b'\"}]");
  const auto sink = start();
  EXPECT_EQ(sink->wait().reason, FinishReason::kStop);
  EXPECT_EQ(sink->text(), "");
  EXPECT_THAT(n_.calls(), IsEmpty());
  EXPECT_EQ(sink->wait().stages.size(), 1U);
}

TEST_F(PipelineExecutorTest, ALoopRunsItsOthersEveryRoundAndAnswersAtItsEnd) {
  m_.answer = [](const ModelCall& call) {
    return call.prompt.ends_with("42") ? R"({"next": "end"})" : R"({"next": "look"})";
  };
  int looked = 0;
  tools_["look"] = [&](const ToolCall&, std::stop_token) -> base::Result<std::string> {
    return ++looked == 2 ? "42" : "nothing";
  };
  open(R"(
  - id: agent
    run: m
    prompt: "$request: $found"
    loop: {until: "$agent.next == 'end'", max: 8, with: [found]}
  - {id: found, tool: look, in: $agent, when: "$agent.next == 'look'"}
)");
  const auto sink = start();
  const PipelineEnd& end = sink->wait();
  EXPECT_EQ(end.reason, FinishReason::kStop) << end.error.message;
  EXPECT_THAT(prompts(m_), ElementsAre("hi: ", "hi: nothing", "hi: 42"));
  EXPECT_THAT(sink->pieces(), ElementsAre(R"({"next": "end"})"));
  std::vector<std::string> runs;
  for (const StageReport& stage : end.stages) {
    runs.push_back(stage.stage + std::to_string(stage.round));
  }
  EXPECT_THAT(runs, ElementsAre("agent1", "found1", "agent2", "found2", "agent3"));
}

TEST_F(PipelineExecutorTest, ARouteDecidesByTheRequest) {
  m_.answer = n_.answer = [](const ModelCall& call) { return call.prompt; };
  open("[{id: a, run: pick, in: $request}]");
  PipelineRequest small = request("small"), big = request("big");
  small.facts.prompt_tokens = 63;
  big.facts.prompt_tokens = 64;
  start(small)->wait();
  EXPECT_EQ(start(big)->wait().stages.front().model, "n");
  EXPECT_THAT(prompts(m_), ElementsAre("small"));
  EXPECT_THAT(prompts(n_), ElementsAre("big"));
}

TEST_F(PipelineExecutorTest, OnlyTheAnswersStageHasTheConversationAndTheParameters) {
  m_.answer = n_.answer = [](const ModelCall&) { return "x"; };
  open(R"([{id: a, run: m, in: $request, max_input_tokens: 5, priority: critical},
           {id: b, run: n, in: $a, max_output_tokens: 7}])");
  PipelineRequest asked = request();
  asked.conversation = std::make_shared<const nlohmann::ordered_json>();
  asked.parameters.max_tokens = 3;
  start(asked)->wait();
  const ModelCall a = m_.calls().front(), b = n_.calls().front();
  EXPECT_EQ(a.conversation, nullptr);
  EXPECT_EQ(a.parameters.max_tokens, std::nullopt);
  EXPECT_EQ(a.input_tokens_max, 5);
  EXPECT_EQ(a.priority, sched::Priority::kCritical);
  EXPECT_EQ(b.conversation, asked.conversation);
  EXPECT_EQ(b.parameters.max_tokens, 3);
  EXPECT_EQ(b.output_tokens_max, 7);
  EXPECT_EQ(b.priority, sched::Priority::kLow) << "as its model";
  asked.priority = sched::Priority::kMedium;
  start(asked)->wait();
  EXPECT_EQ(m_.calls().back().priority, sched::Priority::kMedium) << "as the request";
}

TEST_F(PipelineExecutorTest, AnErrorNamesItsStageAndStopsTheOthers) {
  open(R"([{id: a, run: m, prompt: "a"}, {id: b, run: n, prompt: "b"},
           {id: c, run: n, prompt: "$a $b"}])");
  const auto sink = start();
  n_.wait_for("b");
  m_.end("a", FinishReason::kFailed, "out of frames");
  const PipelineEnd& end = sink->wait();
  EXPECT_EQ(end.reason, FinishReason::kFailed);
  EXPECT_EQ(end.error.message, "stage a: the model failed: out of frames");
  EXPECT_EQ(n_.cancelled(), 1);
  EXPECT_THAT(prompts(n_), ElementsAre("b"));
  EXPECT_EQ(end.stages.size(), 2U);
}

TEST_F(PipelineExecutorTest, ErrorsOfToolsConditionsAndRoutes) {
  tools_["bad"] = [](const ToolCall&, std::stop_token) -> base::Result<std::string> {
    return base::fail("no luck", base::ErrorKind::kIo);
  };
  m_.answer = n_.answer = [](const ModelCall&) { return "many"; };
  open("[{id: t, tool: bad, in: $request}]");
  EXPECT_EQ(start()->wait().error.message, "stage t: no luck");
  open("[{id: a, run: m, in: $request}, {id: b, run: m, in: $a, when: '$a > 3'}]");
  EXPECT_THAT(start()->wait().error.message, HasSubstr("stage b: when: column 4: "));
}

TEST_F(PipelineExecutorTest, AModelThatRefusesEndsTheRequestBeforeItStarted) {
  m_.start_error = base::Error{base::ErrorKind::kUnavailable, "the queue is full"};
  open("[{id: b, run: n, prompt: b}, {id: a, run: m, in: $request}]");
  const auto sink = start();
  const PipelineEnd& end = sink->wait();
  EXPECT_EQ(end.error.kind, base::ErrorKind::kUnavailable);
  EXPECT_EQ(end.error.message, "stage a: the queue is full");
  EXPECT_FALSE(sink->started());
  EXPECT_EQ(n_.cancelled(), 1);
}

TEST_F(PipelineExecutorTest, CancelsWhateverRuns) {
  tools_["wait"] = until_stopped;
  tool_threads_ = 1;
  open(R"([{id: a, run: m, prompt: "a"}, {id: t, tool: wait, in: $request},
           {id: u, tool: wait, in: $request}, {id: z, run: n, prompt: "$a $t $u"}])");
  const auto sink = start();
  m_.wait_for("a");
  executor_->cancel(last_id_);
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  EXPECT_EQ(m_.cancelled(), 1);
  EXPECT_THAT(n_.calls(), IsEmpty());
}

TEST_F(PipelineExecutorTest, CancelsBeforeTheStartBetweenAndAfter) {
  open("[{id: a, run: m, prompt: 'a'}, {id: b, run: n, prompt: 'b', after: a}]");
  auto sink = start();
  executor_->cancel(last_id_);  // perhaps before anything ran
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  sink = start();
  m_.end("a");
  n_.give("b", "partly");
  sink->wait_for_pieces(1);
  executor_->cancel(last_id_);
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  EXPECT_EQ(sink->text(), "partly");
  sink = start();
  m_.end("a");
  n_.end("b");
  EXPECT_EQ(sink->wait().reason, FinishReason::kStop);
  executor_->cancel(last_id_);
  executor_->cancel(123456);
  executor_.reset();
  EXPECT_EQ(sink->ends(), 1);
}

TEST_F(PipelineExecutorTest, EndsWhatIsUnderWayWhenItGoes) {
  tools_["wait"] = until_stopped;
  open("[{id: t, tool: wait, in: $request}, {id: a, run: m, prompt: 'a $t'}]");
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 10; ++i) sinks.push_back(start());
  executor_.reset();
  for (const auto& sink : sinks) EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
}

TEST_F(PipelineExecutorTest, DrainsWhatIsUnderWayAndTakesNoMore) {
  open("[{id: a, run: m, prompt: a}]");
  const auto sink = start();
  m_.wait_for("a");
  std::thread drains([this] { executor_->drain(); });
  m_.end("a");
  drains.join();
  EXPECT_EQ(sink->wait().reason, FinishReason::kStop);
  const auto late = executor_->start(request(), std::make_shared<RecordingSink>());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, base::ErrorKind::kUnavailable);
  EXPECT_EQ(late.error().message, "pipeline is stopping");
}

TEST_F(PipelineExecutorTest, RefusesMoreRequestsThanItMayHave) {
  requests_max_ = 2;
  open("[{id: a, run: m, in: $request}]");
  start(request("1"));
  const auto second = start(request("2"));
  const auto third = executor_->start(request("3"), std::make_shared<RecordingSink>());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, base::ErrorKind::kUnavailable);
  EXPECT_EQ(third.error().message, "pipeline: 2 requests are under way");
  m_.end("2");
  second->wait();
  base::Result<uint64_t> again = base::fail("");
  while (!again) {  // its place is free soon after its end
    again = executor_->start(request("4"), std::make_shared<RecordingSink>());
  }
  executor_.reset();
}

TEST_F(PipelineExecutorTest, TellsWhichModelIsAboutToBeUsed) {
  open("[{id: a, run: m, prompt: a}, {id: b, run: n, in: $a}]");
  const auto sink = start();
  m_.wait_for("a");
  EXPECT_THAT(expectations(), ElementsAre("+m", "-m", "+n"));
  m_.give("a", "A");
  m_.end("a");
  n_.wait_for("A");
  EXPECT_THAT(expectations(), ElementsAre("+m", "-m", "+n", "-n"));
  n_.end("A");
  sink->wait();
  EXPECT_EQ(expectations().size(), 4U);
}

TEST_F(PipelineExecutorTest, NoLongerExpectsWhatWasSkippedFailedOrCancelled) {
  open("[{id: a, run: m, prompt: a}, {id: b, run: n, in: $a, when: '$a == 1'}]");
  auto sink = start();
  m_.end("a");
  sink->wait();
  EXPECT_THAT(expectations(), ElementsAre("+m", "-m", "+n", "-n"));
  sink = start();
  m_.end("a", FinishReason::kFailed);
  sink->wait();
  sink = start();
  m_.wait_for("a");
  executor_->cancel(last_id_);
  sink->wait();
  const std::vector<std::string> all = expectations();
  EXPECT_EQ(std::count(all.begin(), all.end(), "+n"), 3);
  EXPECT_EQ(std::count(all.begin(), all.end(), "-n"), 3);
}

TEST_F(PipelineExecutorTest, TwoRequestsExpectAModelOnce) {
  open("[{id: a, run: m, in: $request}, {id: b, run: n, in: $a}]");
  const auto first = start(request("1")), second = start(request("2"));
  m_.wait_for("1");
  m_.wait_for("2");
  EXPECT_THAT(expectations(), ElementsAre("+m", "-m", "+n", "+m", "-m"));
  executor_.reset();
  EXPECT_THAT(expectations(), ElementsAre("+m", "-m", "+n", "+m", "-m", "-n"));
}

TEST_F(PipelineExecutorTest, RefusesAToolThatThereIsNot) {
  PipelineDefinition definition{.spec = testing::spec_of("[{id: t, tool: retrieve, index: i}]")};
  definition.models = {&m_, &n_};
  const auto executor = PipelineExecutor::create(std::move(definition));
  ASSERT_FALSE(executor);
  EXPECT_THAT(executor.error().message, HasSubstr("stages.t.tool: retrieve"));
}

TEST_F(PipelineExecutorTest, ManyRequestsFromManyThreads) {
  m_.answer = n_.answer = [](const ModelCall& call) { return call.prompt + "."; };
  tools_["echo"] = [](const ToolCall& call, std::stop_token) -> base::Result<std::string> {
    return call.input;
  };
  open(R"([{id: a, run: m, in: $request}, {id: b, tool: echo, in: $request},
           {id: c, run: n, prompt: "$a $b"}])");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string text = std::to_string(100 * t + i);
        auto sink = std::make_shared<RecordingSink>();
        const auto id = executor_->start(request(text), sink);
        ASSERT_TRUE(id);
        if (i % 5 == 0) executor_->cancel(*id);
        const PipelineEnd& end = sink->wait();
        if (end.reason == FinishReason::kCancelled) continue;
        EXPECT_EQ(sink->text(), text + ". " + text + ".");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(executor_->first_token_us_p50(), 0);
}

TEST(LatencyWindow, IsTheMedianOfTheLastMinute) {
  using std::chrono::seconds;
  LatencyWindow window;
  const LatencyWindow::Clock::time_point start{};
  EXPECT_EQ(window.median_us(start), 0);
  window.add(500, start);
  window.add(10, start + seconds(30));
  window.add(30, start + seconds(40));
  window.add(20, start + seconds(50));
  EXPECT_EQ(window.median_us(start + seconds(60)), 30);
  EXPECT_EQ(window.median_us(start + seconds(61)), 20);
  EXPECT_EQ(window.median_us(start + seconds(200)), 0);
  for (int i = 0; i < 5000; ++i) window.add(7, start + seconds(200));
  EXPECT_EQ(window.median_us(start + seconds(200)), 7);
}

}  // namespace
}  // namespace neuros::pipeline
