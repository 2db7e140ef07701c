#include "builder/spec/stage_graph.h"

#include "builder/spec/pipeline_report.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/testing/pipeline_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A specification of models m and n and these stages, and its graph.
struct Example {
  explicit Example(const std::string& stages)
      : spec(parse_pipeline("models: {m: {file: m}, n: {file: n}}\n"
                            "routes: {pick: 'if hour < 6 -> m; else -> n'}\nstages:\n" +
                                stages,
                            "p.yaml")
                 .value()),
        graph(StageGraph::create(spec).value()) {}

  int32_t place(const char* id) const { return spec.find_stage(id); }
  std::vector<std::string> ids(const std::vector<int32_t>& stages) const {
    std::vector<std::string> all;
    for (const int32_t s : stages) all.push_back(spec.stages[static_cast<size_t>(s)].id);
    return all;
  }

  PipelineSpec spec;
  StageGraph graph;
};

/// a -> b, c -> d, and e beside them all.
const std::string kDiamond = R"(
  - {id: d, run: m, prompt: "$b $c"}
  - {id: b, run: m, in: $a}
  - {id: c, run: m, in: $request, when: $a.ok}
  - {id: a, tool: t, in: $request, latency: 5-20ms}
  - {id: e, run: n, in: $request}
)";

/// A loop of agent, call and look between a stage before and one behind.
const std::string kAgent = R"(
  - {id: before, run: n, in: $request}
  - id: agent
    run: m
    prompt: "$before $call $look $agent"
    loop: {until: "$agent.next == 'end' or $call contains 'x'", max: 5, with: [call, look]}
  - {id: call, tool: call, in: $agent, latency: 10ms-2s}
  - {id: look, tool: look, in: $call}
  - {id: behind, run: n, in: $agent}
)";

std::string problem_of(const std::string& stages) {
  const auto spec = parse_pipeline("models: {m: {file: m}}\nstages:\n" + stages, "p.yaml");
  return spec ? "no problem" : spec.error().message;
}

TEST(StageGraph, NeedsComeFromInputsPromptsConditionsAndAfter) {
  const Example diamond(kDiamond);
  const auto needs = [&](const char* id) {
    return diamond.ids(diamond.graph.needs(diamond.place(id)));
  };
  EXPECT_THAT(needs("d"), ElementsAre("b", "c"));
  EXPECT_THAT(needs("b"), ElementsAre("a"));
  EXPECT_THAT(needs("c"), ElementsAre("a"));
  EXPECT_THAT(needs("e"), IsEmpty());
  EXPECT_THAT(diamond.ids(diamond.graph.order()), ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_EQ(diamond.graph.level(diamond.place("d")), 2);
  EXPECT_TRUE(diamond.graph.has_need(diamond.place("d"), diamond.place("a")));
  EXPECT_FALSE(diamond.graph.has_need(diamond.place("a"), diamond.place("d")));
}

TEST(StageGraph, IndependentStagesAndTheirGroups) {
  const Example diamond(kDiamond);
  const auto independent = [&](const char* a, const char* b) {
    return diamond.graph.are_independent(diamond.place(a), diamond.place(b));
  };
  EXPECT_TRUE(independent("b", "c"));
  EXPECT_TRUE(independent("e", "d"));
  EXPECT_FALSE(independent("a", "d"));
  EXPECT_FALSE(independent("a", "a"));
  const auto groups = parallel_groups(diamond.graph);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(diamond.ids(groups[0]), ElementsAre("a", "e"));
  EXPECT_THAT(diamond.ids(groups[1]), ElementsAre("b", "c"));
}

TEST(StageGraph, TheCriticalPathCostsMost) {
  const Example diamond(kDiamond);
  const std::vector<int64_t> costs{10, 1, 7, 100, 116};  // of d, b, c, a, e
  const CriticalPath path = critical_path(diamond.graph, costs);
  EXPECT_THAT(diamond.ids(path.stages), ElementsAre("a", "c", "d"));
  EXPECT_EQ(path.cost, 117);
  const std::vector<int64_t> late{10, 1, 7, 100, 118};
  EXPECT_THAT(diamond.ids(critical_path(diamond.graph, late).stages), ElementsAre("e"));
  const Example none(" []\n");
  EXPECT_THAT(critical_path(none.graph, {}).stages, IsEmpty());
}

TEST(StageGraph, IndependentStagesOfOneModelShareABatch) {
  const Example diamond(kDiamond);
  const auto shared = shared_batches(diamond.spec, diamond.graph);
  ASSERT_EQ(shared.size(), 1u);
  EXPECT_EQ(shared[0].model, "m");
  EXPECT_THAT(diamond.ids(shared[0].stages), ElementsAre("b", "c"));
  const Example routed("  - {id: a, run: pick, in: $request}\n  - {id: b, run: n, in: $request}\n");
  const auto by_route = shared_batches(routed.spec, routed.graph);
  ASSERT_EQ(by_route.size(), 1u);
  EXPECT_EQ(by_route[0].model, "n");
}

TEST(StageGraph, AToolsRunIsAWindow) {
  const Example diamond(kDiamond);
  const auto windows = tool_windows(diamond.spec, diamond.graph);
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].stage, diamond.place("a"));
  EXPECT_EQ(windows[0].latency, (LatencyRange{5000, 20'000}));
  EXPECT_THAT(windows[0].stage_next, ElementsAre("m"));
  EXPECT_THAT(windows[0].keep, ElementsAre("n"));
}

TEST(StageGraph, WhoNeedsALoopWaitsForAllOfIt) {
  const Example agent(kAgent);
  const auto needs = [&](const char* id) { return agent.ids(agent.graph.needs(agent.place(id))); };
  EXPECT_THAT(needs("agent"), ElementsAre("before"));
  EXPECT_THAT(needs("call"), ElementsAre("agent"));
  EXPECT_THAT(needs("behind"), ElementsAre("agent", "call", "look"));
  EXPECT_EQ(agent.graph.loop_head(agent.place("look")), agent.place("agent"));
  EXPECT_EQ(agent.graph.loop_head(agent.place("behind")), -1);
  EXPECT_EQ(rounds_max(agent.spec, agent.graph, agent.place("call")), 5);
  EXPECT_EQ(rounds_max(agent.spec, agent.graph, agent.place("behind")), 1);
  // After the tool the loop comes round to the agent's model first.
  EXPECT_THAT(tool_windows(agent.spec, agent.graph).front().stage_next, ElementsAre("m", "n"));
}

TEST(StageGraph, ImpossibleLoops) {
  EXPECT_EQ(problem_of("  - {id: a, run: m, in: $request, loop: {until: $b, max: 2, with: [b]}}\n"
                       "  - {id: b, tool: t, in: $request}\n"),
            "p.yaml:4:5: stages.b: is in the loop of a and must need it");
  EXPECT_EQ(problem_of("  - {id: a, tool: t, loop: {until: $a, max: 2, with: [a]}}\n"),
            "p.yaml:3:5: stages.a: loop.with: names the stage itself");
  EXPECT_EQ(problem_of("  - {id: a, tool: t, loop: {until: $a, max: 2, with: [b]}}\n"
                       "  - {id: b, tool: t, in: $a, loop: {until: $b, max: 2}}\n"),
            "p.yaml:4:5: stages.b: is in the loop of a and may not have one itself");
  EXPECT_EQ(problem_of("  - {id: a, tool: t, loop: {until: $a, max: 2, with: [b, b]}}\n"
                       "  - {id: b, tool: t, in: $a}\n"),
            "p.yaml:3:5: stages.a: loop.with: b is in the loop of a already");
  // A stage outside that the loop's own stage needs would have to wait for the loop's end.
  EXPECT_EQ(problem_of("  - {id: a, tool: t, in: $request, loop: {until: $a, max: 2, with: [b]}}\n"
                       "  - {id: b, tool: t, in: $c}\n"
                       "  - {id: c, tool: t, in: $a}\n"),
            "p.yaml:4:5: stages.b: needs itself: b -> c -> b");
  // The condition that starts a loop cannot ask what the loop gave.
  EXPECT_EQ(problem_of("  - {id: a, tool: t, when: $b, loop: {until: $a, max: 2, with: [b]}}\n"
                       "  - {id: b, tool: t, in: $a}\n"),
            "p.yaml:3:5: stages.a: needs itself: a -> b -> a");
}

TEST(PipelineReport, ShowsTheVoiceAssistant) {
  const auto spec = parse_pipeline(testing::kVoiceAssistant, "p.yaml").value();
  const StageGraph graph = StageGraph::create(spec).value();
  const std::string page = describe(spec, graph);
  for (const char* line :
       {"pipeline    assistant\n", "memory      at most device 24GB, pinned 32GiB\n",
        "promised    ttft_p99 500ms\n", "qwen3-8b/; context 8k, at least 4k; bf16, q8_0, q4_k_m\n",
        "after text; 5ms-20ms; models find, rank\n",
        "longest     text -> docs -> answer -> voice: tools 35ms-320ms, 2 runs of models\n",
        "window      docs 5ms-20ms: may stage llm; keeps find, rank\n",
        "window      voice 30ms-300ms\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
  const auto json = nlohmann::json::parse(describe_json(spec, graph));
  EXPECT_EQ(json["models"].size(), 4u);
  EXPECT_EQ(json["stages"][1]["latency"]["max_us"], 20'000);
  EXPECT_EQ(json["longest"]["stages"].size(), 4u);
  EXPECT_EQ(json["memory_bytes"]["device"], 24'000'000'000);
  EXPECT_EQ(json["slo_us"]["ttft_p99"], 500'000);
}

TEST(PipelineReport, ShowsLoopsRoutesAndGroups) {
  const Example agent(kAgent);
  EXPECT_THAT(describe(agent.spec, agent.graph),
              HasSubstr("up to 5 rounds until $agent.next == 'end' or $call contains 'x' with "
                        "call, look"));
  EXPECT_THAT(describe(agent.spec, agent.graph),
              HasSubstr("-> behind: tools 10ms-10s, 7 runs of models"));
  const Example diamond(kDiamond);
  const std::string page = describe(diamond.spec, diamond.graph);
  EXPECT_THAT(page, HasSubstr("parallel    b, c\n"));
  EXPECT_THAT(page, HasSubstr("one batch   m: b, c\n"));
  EXPECT_THAT(page, HasSubstr("if hour < 6 -> m; else -> n\n"));
}

}  // namespace
}  // namespace neuros::builder
