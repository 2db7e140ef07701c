/// Random graphs of stages, ended in random orders, against a plain sequential reading of the
/// rules.

#include "pipeline/stages/stage_flow.h"
#include "pipeline/stages/testing/stage_spec.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

using State = StageFlow::State;

/// What stage `s` gives in a round: three letters that its inputs and the round decide.
std::string given(int32_t s, int32_t round, const std::string& input) {
  std::mt19937_64 random(std::hash<std::string>()(input) + static_cast<uint64_t>(31 * s + round));
  std::string text;
  for (int i = 0; i < 3; ++i) text += static_cast<char>('a' + random() % 4);
  return text;
}

std::string input_of(const builder::StageSpec& stage, const RequestValues& values) {
  return stage.prompt ? values.render(*stage.prompt).value() : values.join(stage.inputs).value();
}

/// What became of the stages of one request.
struct Outcome {
  std::vector<State> states;
  std::vector<int32_t> runs;  ///< of each stage, in all rounds
  std::vector<std::string> texts;
};

/// Stages and whole loops one after the other, as the document says it, with no thought of time.
class Oracle {
 public:
  Oracle(const builder::PipelineSpec& spec, const builder::StageGraph& graph)
      : spec_(spec), graph_(graph), values_(StageValue::of_text("request"), {}) {
    outcome_.states.assign(spec.stages.size(), State::kWaiting);
    outcome_.runs.assign(spec.stages.size(), 0);
  }

  Outcome run() {
    for (bool changed = true; changed;) {
      changed = false;
      for (int32_t s = 0; s < graph_.size(); ++s) {
        const int32_t head = graph_.loop_head(s);
        if (state(s) != State::kWaiting || (head >= 0 && head != s) || !is_ready(s)) continue;
        changed = true;
        if (head < 0) {
          run_stage(s, 1);
        } else {
          run_loop(s);
        }
      }
    }
    for (const auto& stage : spec_.stages) outcome_.texts.push_back(values_.text({stage.id, ""}));
    return outcome_;
  }

 private:
  State& state(int32_t s) { return outcome_.states[static_cast<size_t>(s)]; }
  const builder::StageSpec& spec_of(int32_t s) const {
    return spec_.stages[static_cast<size_t>(s)];
  }
  std::vector<int32_t> unit(int32_t s) const {
    std::vector<int32_t> members;
    for (const int32_t other : graph_.order()) {
      if (other == s || (graph_.loop_head(other) == s)) members.push_back(other);
    }
    return members;
  }

  /// All that the stage, or any stage of its loop, needs from outside has ended.
  bool is_ready(int32_t s) {
    const std::vector<int32_t> members = unit(s);
    for (const int32_t member : members) {
      for (const int32_t needed : graph_.needs(member)) {
        const bool inside = std::count(members.begin(), members.end(), needed) > 0;
        if (!inside && state(needed) == State::kWaiting) return false;
      }
    }
    return true;
  }

  bool is_skipped(int32_t s) {
    const auto& needs = graph_.needs(s);
    const bool none_ran = !needs.empty() && std::all_of(needs.begin(), needs.end(), [&](int32_t n) {
      return state(n) == State::kSkipped;
    });
    const auto& when = spec_of(s).when;
    return none_ran || (when && !builder::evaluate(*when, values_.source()).value());
  }

  void force(int32_t s, int32_t round) {
    const std::string text = given(s, round, input_of(spec_of(s), values_));
    values_.set(spec_of(s).id, StageValue::of_text(text));
    state(s) = State::kDone;
    ++outcome_.runs[static_cast<size_t>(s)];
  }

  void run_stage(int32_t s, int32_t round) {
    if (!is_skipped(s)) return force(s, round);
    state(s) = State::kSkipped;
    values_.clear(spec_of(s).id);
  }

  void run_loop(int32_t head) {
    if (is_skipped(head)) {
      for (const int32_t member : unit(head)) state(member) = State::kSkipped;
      return;
    }
    const builder::LoopSpec& loop = *spec_of(head).loop;
    for (int32_t round = 1; round <= loop.rounds_max; ++round) {
      force(head, round);
      for (const int32_t member : unit(head)) {
        if (member != head) run_stage(member, round);
      }
      if (builder::evaluate(loop.until, values_.source(round)).value()) return;
    }
  }

  const builder::PipelineSpec& spec_;
  const builder::StageGraph& graph_;
  RequestValues values_;
  Outcome outcome_;
};

class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : random_(seed) {}

  /// nullopt: the draw has a circle or another fault, as the parser says.
  std::optional<builder::PipelineSpec> draw() {
    const int count = 1 + below(10);
    const std::vector<int> order = shuffled(count);
    const int head = below(3) > 0 ? below(count) : -1;
    std::vector<std::string> members;
    std::vector<std::string> lines(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      const bool member = head >= 0 && i > head && below(2) == 0;
      if (member) members.push_back(id(i));
      lines[static_cast<size_t>(order[static_cast<size_t>(i)])] = stage(i, member ? head : -1);
    }
    if (head >= 0) add_loop(lines[static_cast<size_t>(order[static_cast<size_t>(head)])], members);
    std::string stages;
    for (const std::string& line : lines) stages += "  - {" + line + "}\n";
    auto spec = builder::parse_pipeline("models: {m: {file: m}}\nstages:\n" + stages, "p.yaml");
    return spec ? std::optional(std::move(*spec)) : std::nullopt;
  }

  int below(int count) { return static_cast<int>(random_() % static_cast<uint64_t>(count)); }

 private:
  static std::string id(int i) { return "s" + std::to_string(i); }

  std::vector<int> shuffled(int count) {
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    std::shuffle(order.begin(), order.end(), random_);
    return order;
  }

  /// Of stages before the i-th; a stage of a loop needs its first one.
  std::string stage(int i, int head) {
    std::string prompt = "$request";
    for (int other = 0; other < i; ++other) {
      if (other == head || below(3) == 0) prompt += " $" + id(other);
    }
    std::string line = "id: " + id(i) + ", run: m, prompt: \"" + prompt + "\"";
    if (i > 0 && below(3) == 0) line += ", after: " + id(below(i));
    if (i > 0 && below(3) == 0) line += ", when: '$" + id(below(i)) + " contains \"a\"'";
    return line;
  }

  void add_loop(std::string& line, const std::vector<std::string>& members) {
    const std::string own = line.substr(4, line.find(',') - 4);
    std::string spoken = own;  // one of the loop, of the round before
    if (!members.empty() && below(2) == 0) spoken = members.front();
    line.insert(line.rfind("$request") + 8, " $" + spoken);
    line += ", loop: {until: '$" + spoken + " contains \"b\" and iteration > " +
            std::to_string(below(3)) + "', max: " + std::to_string(1 + below(5)) + ", with: [";
    for (size_t i = 0; i < members.size(); ++i) line += (i > 0 ? ", " : "") + members[i];
    line += "]}";
  }

  std::mt19937_64 random_;
};

/// Runs a flow whose stages end in a random order; checks that none starts too early.
Outcome run_in_random_order(const builder::PipelineSpec& spec, const builder::StageGraph& graph,
                            RandomGraph& random) {
  RequestValues values(StageValue::of_text("request"), {});
  StageFlow flow(spec, graph, values);
  Outcome outcome;
  outcome.runs.assign(spec.stages.size(), 0);
  std::vector<std::pair<int32_t, std::string>> running;  // and what each will give
  const auto start = [&](const std::vector<int32_t>& started) {
    for (const int32_t s : started) {
      for (const int32_t needed : graph.needs(s)) {
        EXPECT_NE(flow.state(needed), State::kWaiting) << s << " needs " << needed;
        EXPECT_NE(flow.state(needed), State::kRunning) << s << " needs " << needed;
      }
      const auto& stage = spec.stages[static_cast<size_t>(s)];
      running.emplace_back(s, given(s, flow.round(s), input_of(stage, values)));
      ++outcome.runs[static_cast<size_t>(s)];
    }
  };
  start(flow.begin().value());
  while (!running.empty()) {
    const auto next = running.begin() + random.below(static_cast<int>(running.size()));
    const auto [stage, text] = *next;
    running.erase(next);
    start(flow.finish(stage, StageValue::of_text(text)).value());
  }
  EXPECT_TRUE(flow.is_over());
  for (int32_t s = 0; s < graph.size(); ++s) {
    outcome.states.push_back(flow.state(s));
    outcome.texts.push_back(values.text({spec.stages[static_cast<size_t>(s)].id, ""}));
  }
  return outcome;
}

TEST(StageFlow, RandomGraphsEndAsASequentialReadingSays) {
  int32_t drawn = 0, loops = 0, skipped = 0;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomGraph random(seed);
    const auto spec = random.draw();
    if (!spec) continue;
    ++drawn;
    const builder::StageGraph graph = testing::graph_of(*spec);
    const Outcome expected = Oracle(*spec, graph).run();
    const Outcome outcome = run_in_random_order(*spec, graph, random);
    ASSERT_EQ(outcome.states, expected.states);
    ASSERT_EQ(outcome.runs, expected.runs);
    ASSERT_EQ(outcome.texts, expected.texts);
    loops += std::any_of(outcome.runs.begin(), outcome.runs.end(), [](int n) { return n > 1; });
    skipped += std::count(outcome.states.begin(), outcome.states.end(), State::kSkipped) > 0;
  }
  EXPECT_GT(drawn, 1000);
  EXPECT_GT(loops, 200);
  EXPECT_GT(skipped, 200);
}

}  // namespace
}  // namespace neuros::pipeline
