#include "builder/spec/staging_schedule.h"

#include "builder/spec/pipeline_report.h"
#include "builder/spec/pipeline_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PipelineSpec spec_of(const std::string& stages) {
  return parse_pipeline(
             "models: {m: {file: m}, n: {file: n}, e: {file: e, class: embed}}\n"
             "routes: {pick: 'if hour < 6 -> m; else -> n'}\nstages:\n" +
                 stages,
             "p.yaml")
      .value();
}

/// "a: n for b at 1", "request: m for a at 1".
std::vector<std::string> lines_of(const PipelineSpec& spec) {
  const StageGraph graph = StageGraph::create(spec).value();
  std::vector<std::string> lines;
  for (const StagingTrigger& trigger : staging_schedule(spec, graph)) {
    const std::string at = trigger.at == StagingTrigger::kArrival
                               ? "request"
                               : spec.stages[static_cast<size_t>(trigger.at)].id;
    lines.push_back(at + ": " + trigger.model + " for " +
                    spec.stages[static_cast<size_t>(trigger.user)].id + " at " +
                    std::to_string(trigger.distance));
  }
  return lines;
}

TEST(StagingSchedule, AModelIsExpectedWhenTheStageBeforeStarts) {
  EXPECT_THAT(lines_of(spec_of(R"(
  - {id: a, run: m, in: $request}
  - {id: b, run: n, in: $a}
  - {id: c, run: n, in: $b}
)")),
              ElementsAre("request: m for a at 1", "a: n for b at 1"));
}

TEST(StagingSchedule, LooksThroughToolsToTheNearestModelOnly) {
  EXPECT_THAT(
      lines_of(spec_of(R"(
  - {id: t, tool: x, in: $request, latency: 5-20ms}
  - {id: u, tool: x, in: $t}
  - {id: far, run: m, in: $u}
  - {id: near, run: n, in: $t}
  - {id: last, run: n, in: [$far, $near]}
)")),
      ElementsAre("request: n for near at 2", "request: m for far at 3", "t: n for near at 1",
                  "t: m for far at 2", "u: m for far at 1", "far: n for last at 1"));
}

TEST(StagingSchedule, AToolsModelsAndAllOfARouteAreExpected) {
  EXPECT_THAT(lines_of(spec_of(R"(
  - {id: plan, run: m, in: $request}
  - {id: docs, tool: retrieve, index: x, embed: e, in: $plan}
  - {id: say, run: pick, in: $docs}
)")),
              ElementsAre("request: m for plan at 1", "plan: e for docs at 1",
                          "docs: m for say at 1", "docs: n for say at 1"));
}

TEST(StagingSchedule, TheFirstStageOfALoopComesRoundAgain) {
  EXPECT_THAT(
      lines_of(spec_of(R"(
  - {id: agent, run: m, prompt: "$request $look", loop: {until: $look, max: 3, with: [call, look]}}
  - {id: call, tool: x, in: $agent}
  - {id: look, run: n, in: $call}
  - {id: alone, run: n, prompt: "$alone", loop: {until: $alone, max: 2}}
)")),
      ElementsAre("request: m for agent at 1", "request: n for alone at 1",
                  "agent: n for look at 2", "call: n for look at 1", "look: m for agent at 1"));
}

TEST(StagingSchedule, ThePlanShowsIt) {
  const PipelineSpec spec = spec_of(R"(
  - {id: a, run: m, in: $request}
  - {id: t, tool: x, in: $a, latency: 5-20ms}
  - {id: b, run: n, in: $t}
)");
  const StageGraph graph = StageGraph::create(spec).value();
  const std::string text = describe(spec, graph);
  EXPECT_THAT(text, HasSubstr("expect      m for a when the request arrives\n"));
  EXPECT_THAT(text, HasSubstr("expect      n for b when a starts, 2 stages ahead\n"));
  EXPECT_THAT(text, HasSubstr("expect      n for b when t starts, within 5ms-20ms\n"));
  const auto json = nlohmann::json::parse(describe_json(spec, graph));
  EXPECT_EQ(json["staging"].dump(), R"([{"at":null,"distance":1,"model":"m","user":"a"},)"
                                    R"({"at":"a","distance":2,"model":"n","user":"b"},)"
                                    R"({"at":"t","distance":1,"model":"n","user":"b",)"
                                    R"("window":{"max_us":20000,"min_us":5000}}])");
}

TEST(StagingSchedule, NothingIsExpectedWithoutStages) {
  const PipelineSpec spec = parse_pipeline("models: {m: {file: m}}", "p.yaml").value();
  EXPECT_THAT(lines_of(spec), IsEmpty());
}

}  // namespace
}  // namespace neuros::builder
