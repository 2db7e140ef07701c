#include "pipeline/stages/stage_flow.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::pipeline {
namespace {

base::Result<bool> evaluate(const builder::Expression& condition,
                            const builder::ValueSource& values, const std::string& stage,
                            const char* key) {
  auto result = builder::evaluate(condition, values);
  if (result) return *result;
  return tl::unexpected(
      base::with_context(std::move(result).error(), "stage " + stage + ": " + key));
}

}  // namespace

StageFlow::StageFlow(const builder::PipelineSpec& spec, const builder::StageGraph& graph,
                     RequestValues& values)
    : spec_(spec),
      graph_(graph),
      values_(values),
      stages_(spec.stages.size(), State::kWaiting),
      loops_(spec.stages.size()) {
  for (const int32_t s : graph.order()) {
    if (graph.loop_head(s) >= 0) loops_[index(graph.loop_head(s))].members.push_back(s);
  }
}

int32_t StageFlow::round(int32_t stage) const {
  const int32_t head = graph_.loop_head(stage);
  return head < 0 ? 1 : loops_[index(head)].round;
}

/// For now: its loop may come round again.
bool StageFlow::has_ended(int32_t stage) const {
  return state(stage) == State::kDone || state(stage) == State::kSkipped;
}

bool StageFlow::is_settled(int32_t stage) const {
  const int32_t head = graph_.loop_head(stage);
  return has_ended(stage) && (head < 0 || loops_[index(head)].over);
}

bool StageFlow::may_start(int32_t stage) const {
  if (state(stage) == State::kWaiting) return true;
  const int32_t head = graph_.loop_head(stage);
  return head >= 0 && !loops_[index(head)].over && round(stage) < spec_of(head).loop->rounds_max;
}

bool StageFlow::is_over() const {
  return std::all_of(graph_.order().begin(), graph_.order().end(),
                     [&](int32_t s) { return is_settled(s); });
}

bool StageFlow::is_ready(int32_t stage) const {
  const int32_t head = graph_.loop_head(stage);
  return std::all_of(graph_.needs(stage).begin(), graph_.needs(stage).end(), [&](int32_t needed) {
    const bool same_loop = head >= 0 && graph_.loop_head(needed) == head;
    return same_loop ? has_ended(needed) : is_settled(needed);
  });
}

base::Result<bool> StageFlow::is_to_be_skipped(int32_t stage) const {
  const std::vector<int32_t>& needs = graph_.needs(stage);
  const auto is_skipped = [&](int32_t needed) { return state(needed) == State::kSkipped; };
  if (!needs.empty() && std::all_of(needs.begin(), needs.end(), is_skipped)) return true;
  const auto& when = spec_of(stage).when;
  return when && !TRY(evaluate(*when, values_.source(), spec_of(stage).id, "when"));
}

void StageFlow::skip(int32_t stage) {
  stages_[index(stage)] = State::kSkipped;
  values_.clear(spec_of(stage).id);
  if (graph_.loop_head(stage) != stage) return;
  // Without its first stage there is no loop.
  Loop& loop = loops_[index(stage)];
  loop.over = true;
  for (const int32_t member : loop.members) stages_[index(member)] = State::kSkipped;
}

base::Result<bool> StageFlow::start_ready(std::vector<int32_t>& started) {
  bool changed = false;
  for (const int32_t s : graph_.order()) {
    if (state(s) != State::kWaiting || !is_ready(s)) continue;
    changed = true;
    if (TRY(is_to_be_skipped(s))) {
      skip(s);
      continue;
    }
    stages_[index(s)] = State::kRunning;
    started.push_back(s);
  }
  return changed;
}

base::Result<bool> StageFlow::ends(int32_t head) const {
  const builder::LoopSpec& spec = *spec_of(head).loop;
  const int32_t round = loops_[index(head)].round;
  const auto values = values_.source(round);
  return TRY(evaluate(spec.until, values, spec_of(head).id, "loop.until")) ||
         round >= spec.rounds_max;
}

base::Result<bool> StageFlow::turn_loops(std::vector<int32_t>& started) {
  bool changed = false;
  for (int32_t head = 0; head < graph_.size(); ++head) {
    Loop& loop = loops_[index(head)];
    const bool complete = std::all_of(loop.members.begin(), loop.members.end(),
                                      [&](int32_t member) { return has_ended(member); });
    if (loop.members.empty() || loop.over || !complete) continue;
    changed = true;
    if (TRY(ends(head))) {
      loop.over = true;
      continue;
    }
    ++loop.round;
    for (const int32_t member : loop.members) stages_[index(member)] = State::kWaiting;
    stages_[index(head)] = State::kRunning;  // its `when` was for the whole loop
    started.push_back(head);
  }
  return changed;
}

base::Result<std::vector<int32_t>> StageFlow::advance() {
  std::vector<int32_t> started;
  for (bool changed = true; changed;) {
    const bool any_started = TRY(start_ready(started));
    const bool any_turned = TRY(turn_loops(started));
    changed = any_started || any_turned;
  }
  return started;
}

base::Result<std::vector<int32_t>> StageFlow::begin() {
  return advance();
}

base::Result<std::vector<int32_t>> StageFlow::finish(int32_t stage, StageValue value) {
  CHECK(state(stage) == State::kRunning);
  stages_[index(stage)] = State::kDone;
  values_.set(spec_of(stage).id, std::move(value));
  return advance();
}

int32_t answer_stage(const builder::StageGraph& graph) {
  std::vector<bool> needed(static_cast<size_t>(graph.size()));
  const auto unit = [&](int32_t s) { return graph.loop_head(s) < 0 ? s : graph.loop_head(s); };
  for (int32_t s = 0; s < graph.size(); ++s) {
    for (const int32_t other : graph.needs(s)) {
      if (unit(other) != unit(s)) needed[static_cast<size_t>(unit(other))] = true;
    }
  }
  int32_t answer = -1;
  for (int32_t s = 0; s < graph.size(); ++s) {
    if (unit(s) == s && !needed[static_cast<size_t>(s)]) answer = s;
  }
  CHECK(answer >= 0, "a graph without circles has a stage that nothing needs");
  return answer;
}

}  // namespace neuros::pipeline
