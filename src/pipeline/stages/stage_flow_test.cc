#include "pipeline/stages/stage_flow.h"

#include "pipeline/stages/testing/stage_spec.h"

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

using State = StageFlow::State;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// The flow of one request whose stages the test ends by hand.
class Flow {
 public:
  explicit Flow(const std::string& stages, const std::string& request = "hello")
      : spec_(testing::spec_of(stages)),
        graph_(testing::graph_of(spec_)),
        values_(StageValue::of_text(request), {}),
        flow_(spec_, graph_, values_) {}

  std::vector<std::string> begin() { return ids(flow_.begin()); }
  std::vector<std::string> finish(const std::string& stage, const std::string& value = "x") {
    return ids(flow_.finish(place(stage), StageValue::of_text(value)));
  }
  std::string error_after(const std::string& stage, const std::string& value) {
    return flow_.finish(place(stage), StageValue::of_text(value)).error().message;
  }
  State state(const std::string& stage) const { return flow_.state(place(stage)); }
  int32_t round(const std::string& stage) const { return flow_.round(place(stage)); }
  bool is_over() const { return flow_.is_over(); }
  std::string text(const std::string& stage) const { return values_.text({stage, ""}); }
  std::string answer() const { return spec_.stages[static_cast<size_t>(answer_stage(graph_))].id; }

 private:
  int32_t place(const std::string& id) const { return spec_.find_stage(id); }
  std::vector<std::string> ids(const base::Result<std::vector<int32_t>>& started) const {
    EXPECT_TRUE(started) << started.error().message;
    std::vector<std::string> all;
    for (const int32_t s : *started) all.push_back(spec_.stages[static_cast<size_t>(s)].id);
    return all;
  }

  builder::PipelineSpec spec_;
  builder::StageGraph graph_;
  RequestValues values_;
  StageFlow flow_;
};

TEST(StageFlow, AStageStartsWhenAllItNeedsIsDone) {
  Flow flow(R"(
  - {id: d, run: m, prompt: "$b $c"}
  - {id: b, run: m, in: $a}
  - {id: c, run: m, in: $a}
  - {id: a, run: m, in: $request}
  - {id: e, run: m, in: $request}
)");
  EXPECT_THAT(flow.begin(), ElementsAre("a", "e"));
  EXPECT_THAT(flow.finish("e"), IsEmpty());
  EXPECT_THAT(flow.finish("a"), ElementsAre("b", "c"));
  EXPECT_THAT(flow.finish("c"), IsEmpty());
  EXPECT_FALSE(flow.is_over());
  EXPECT_THAT(flow.finish("b"), ElementsAre("d"));
  EXPECT_THAT(flow.finish("d"), IsEmpty());
  EXPECT_TRUE(flow.is_over());
}

TEST(StageFlow, AfterWaitsToo) {
  Flow flow("[{id: a, run: m, in: $request}, {id: b, run: m, in: $request, after: a}]");
  EXPECT_THAT(flow.begin(), ElementsAre("a"));
  EXPECT_THAT(flow.finish("a"), ElementsAre("b"));
}

TEST(StageFlow, WhenDecidesWhetherAStageRuns) {
  const std::string stages = R"(
  - {id: a, run: m, in: $request}
  - {id: b, run: m, in: $a, when: "$a.next == 'b'"}
  - {id: c, run: m, in: $a, when: "not $a.next == 'b'"}
)";
  Flow first(stages);
  first.begin();
  EXPECT_THAT(first.finish("a", R"({"next": "b"})"), ElementsAre("b"));
  EXPECT_EQ(first.state("c"), State::kSkipped);
  Flow second(stages);
  second.begin();
  EXPECT_THAT(second.finish("a", R"({"next": "c"})"), ElementsAre("c"));
  EXPECT_EQ(second.state("b"), State::kSkipped);
}

TEST(StageFlow, AStageIsSkippedIfAllThatItNeedsWas) {
  Flow flow(R"(
  - {id: a, run: m, in: $request, when: "$request == 'a'"}
  - {id: b, run: m, in: $request}
  - {id: after_a, run: m, in: $a}
  - {id: further, run: m, in: $after_a}
  - {id: both, run: m, in: [$a, $b]}
)");
  EXPECT_THAT(flow.begin(), ElementsAre("b"));
  for (const char* skipped : {"a", "after_a", "further"}) {
    EXPECT_EQ(flow.state(skipped), State::kSkipped) << skipped;
    EXPECT_EQ(flow.text(skipped), "");
  }
  EXPECT_THAT(flow.finish("b"), ElementsAre("both"));
}

TEST(StageFlow, ALoopRunsUntilItsCondition) {
  Flow flow(R"(
  - {id: a, run: m, prompt: "$a", loop: {until: "$a == 'end'", max: 5}}
  - {id: b, run: m, in: $a}
)");
  EXPECT_THAT(flow.begin(), ElementsAre("a"));
  EXPECT_THAT(flow.finish("a", "more"), ElementsAre("a"));
  EXPECT_EQ(flow.round("a"), 2);
  EXPECT_EQ(flow.text("a"), "more") << "what it gave the round before";
  EXPECT_THAT(flow.finish("a", "end"), ElementsAre("b"));
  EXPECT_EQ(flow.round("a"), 2);
}

TEST(StageFlow, ALoopEndsAfterItsMostRounds) {
  Flow flow("[{id: a, run: m, prompt: \"$a\", loop: {until: 'false', max: 3}}]");
  flow.begin();
  EXPECT_THAT(flow.finish("a"), ElementsAre("a"));
  EXPECT_THAT(flow.finish("a"), ElementsAre("a"));
  EXPECT_THAT(flow.finish("a"), IsEmpty());
  EXPECT_TRUE(flow.is_over());
}

TEST(StageFlow, IterationIsTheRoundsDone) {
  Flow flow("[{id: a, run: m, prompt: \"$a\", loop: {until: iteration == 2, max: 9}}]");
  flow.begin();
  EXPECT_THAT(flow.finish("a"), ElementsAre("a"));
  EXPECT_THAT(flow.finish("a"), IsEmpty());
}

const std::string kAgent = R"(
  - {id: before, run: n, in: $request}
  - id: agent
    run: m
    prompt: "$before $call $agent"
    when: "$before != 'no'"
    loop: {until: "$agent == 'end'", max: 4, with: [call, look]}
  - {id: call, tool: x, in: $agent, when: "$agent == 'call'"}
  - {id: look, tool: x, in: [$agent, $call]}
  - {id: behind, run: n, in: $look}
)";

TEST(StageFlow, EveryRoundRunsTheOthersOfTheLoopInTheOrderOfTheirNeeds) {
  Flow flow(kAgent);
  EXPECT_THAT(flow.begin(), ElementsAre("before"));
  EXPECT_THAT(flow.finish("before"), ElementsAre("agent"));
  EXPECT_THAT(flow.finish("agent", "call"), ElementsAre("call"));
  EXPECT_THAT(flow.finish("call", "result"), ElementsAre("look"));
  EXPECT_THAT(flow.finish("look", "seen"), ElementsAre("agent")) << "behind waits for the end";
  EXPECT_EQ(flow.round("call"), 2);
  EXPECT_EQ(flow.text("call"), "result");
  EXPECT_THAT(flow.finish("agent", "think"), ElementsAre("look")) << "call was skipped";
  EXPECT_EQ(flow.state("call"), State::kSkipped);
  EXPECT_EQ(flow.text("call"), "") << "skipped, it gave nothing in this round";
  EXPECT_THAT(flow.finish("look"), ElementsAre("agent"));
  EXPECT_THAT(flow.finish("agent", "end"), ElementsAre("look")) << "the round is completed";
  EXPECT_THAT(flow.finish("look"), ElementsAre("behind"));
  flow.finish("behind");
  EXPECT_TRUE(flow.is_over());
}

TEST(StageFlow, WithoutItsFirstStageThereIsNoLoop) {
  Flow flow(kAgent);
  flow.begin();
  EXPECT_THAT(flow.finish("before", "no"), IsEmpty());
  for (const char* skipped : {"agent", "call", "look", "behind"}) {
    EXPECT_EQ(flow.state(skipped), State::kSkipped) << skipped;
  }
  EXPECT_TRUE(flow.is_over());
}

TEST(StageFlow, AStageOfALoopMayWaitForOneOutside) {
  Flow flow(R"(
  - {id: slow, run: n, in: $request}
  - {id: agent, run: m, prompt: "$call", loop: {until: 'false', max: 2, with: [call]}}
  - {id: call, tool: x, in: [$agent, $slow]}
)");
  EXPECT_THAT(flow.begin(), UnorderedElementsAre("slow", "agent"));
  EXPECT_THAT(flow.finish("agent"), IsEmpty());
  EXPECT_THAT(flow.finish("slow"), ElementsAre("call"));
  EXPECT_THAT(flow.finish("call"), ElementsAre("agent"));
  EXPECT_THAT(flow.finish("agent"), ElementsAre("call"));
}

TEST(StageFlow, ErrorsOfConditionsNameTheStage) {
  Flow when("[{id: a, run: m, in: $request}, {id: b, run: m, in: $a, when: '$a < 5'}]");
  when.begin();
  EXPECT_THAT(when.error_after("a", "many"), HasSubstr("stage b: when: column 4: "));
  Flow until("[{id: a, run: m, prompt: \"$a\", loop: {until: '$a > 5', max: 2}}]");
  until.begin();
  EXPECT_THAT(until.error_after("a", "many"), HasSubstr("stage a: loop.until: column 4: "));
}

TEST(StageFlow, TheAnswerIsOfTheLastStageThatNothingNeeds) {
  EXPECT_EQ(Flow("[{id: a, run: m, in: $b}, {id: b, run: m, in: $request}]").answer(), "a");
  EXPECT_EQ(Flow("[{id: a, run: m, in: $request}, {id: b, run: m, in: $request}]").answer(), "b");
  EXPECT_EQ(Flow("[{id: a, run: m, in: $request}, {id: b, tool: x, after: a}]").answer(), "b");
  EXPECT_EQ(Flow(kAgent).answer(), "behind");
  EXPECT_EQ(Flow(R"(
  - {id: agent, run: m, prompt: "$call", loop: {until: 'false', max: 2, with: [call]}}
  - {id: call, tool: x, in: $agent}
)")
                .answer(),
            "agent")
      << "of a loop its first stage";
}

}  // namespace
}  // namespace neuros::pipeline
