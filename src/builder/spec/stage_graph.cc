#include "builder/spec/stage_graph.h"

#include "base/check.h"

#include <algorithm>
#include <set>

namespace neuros::builder {
namespace {

using Problem = tl::unexpected<GraphProblem>;

int32_t place_of(const PipelineSpec& spec, const std::string& id) {
  const int32_t place = spec.find_stage(id);
  CHECK(place >= 0, "a reference to a stage that does not exist");
  return place;
}

/// What a stage reads before it runs, and what decides the end of its loop.
std::vector<Reference> data_references(const StageSpec& stage) {
  std::vector<Reference> all = stage.inputs;
  const auto add = [&](const std::vector<Reference>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  if (stage.prompt) add(stage.prompt->references());
  if (stage.loop) add(stage.loop->until.references());
  return all;
}

/// Stages of the circle that some stage of `waiting` runs into: each needs the next.
std::vector<int32_t> find_circle(const std::vector<std::vector<int32_t>>& needs,
                                 const std::set<int32_t>& waiting) {
  std::vector<int32_t> path;
  int32_t at = *waiting.begin();
  while (std::find(path.begin(), path.end(), at) == path.end()) {
    path.push_back(at);
    const auto& of_stage = needs[static_cast<size_t>(at)];
    at = *std::find_if(of_stage.begin(), of_stage.end(),
                       [&](int32_t needed) { return waiting.contains(needed); });
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), at));
  // Told from its earliest stage on.
  std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
  return path;
}

void add_unique(std::vector<std::string>& names, const std::vector<std::string>& more) {
  for (const std::string& name : more) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
}

}  // namespace

tl::expected<StageGraph, GraphProblem> StageGraph::create(const PipelineSpec& spec) {
  StageGraph graph;
  if (auto loops = graph.set_loops(spec); !loops) return Problem(loops.error());
  graph.set_needs(spec);
  if (auto order = graph.set_order(spec); !order) return Problem(order.error());
  graph.set_reach();
  if (auto loops = graph.check_loops(spec); !loops) return Problem(loops.error());
  return graph;
}

tl::expected<void, GraphProblem> StageGraph::set_loops(const PipelineSpec& spec) {
  loop_head_.assign(spec.stages.size(), -1);
  for (int32_t head = 0; head < static_cast<int32_t>(spec.stages.size()); ++head) {
    const StageSpec& stage = spec.stages[index(head)];
    if (!stage.loop) continue;
    if (loop_head_[index(head)] >= 0) {
      return Problem({head, "is in the loop of " + spec.stages[index(loop_head_[index(head)])].id +
                                " and may not have one itself"});
    }
    loop_head_[index(head)] = head;
    for (const std::string& id : stage.loop->body) {
      const int32_t member = place_of(spec, id);
      const int32_t other = loop_head_[index(member)];
      if (member == head) return Problem({head, "loop.with: names the stage itself"});
      if (other >= 0) {
        return Problem({head, "loop.with: " + id + " is in the loop of " +
                                  spec.stages[index(other)].id + " already"});
      }
      loop_head_[index(member)] = head;
    }
  }
  return {};
}

void StageGraph::set_needs(const PipelineSpec& spec) {
  const auto count = static_cast<int32_t>(spec.stages.size());
  std::vector<std::vector<int32_t>> members(spec.stages.size());  // of each loop, by its head
  for (int32_t s = 0; s < count; ++s) {
    if (loop_head(s) >= 0) members[index(loop_head(s))].push_back(s);
  }
  needs_.resize(spec.stages.size());
  for (int32_t s = 0; s < count; ++s) {
    const StageSpec& stage = spec.stages[index(s)];
    std::set<int32_t> needed;
    const auto add = [&](int32_t other) {
      needed.insert(other);
      if (loop_head(other) < 0 || loop_head(other) == loop_head(s)) return;
      needed.insert(members[index(loop_head(other))].begin(),
                    members[index(loop_head(other))].end());
    };
    for (const Reference& reference : data_references(stage)) {
      if (reference.is_request()) continue;
      const int32_t other = place_of(spec, reference.source);
      // The first stage of a loop speaks of the round before.
      const bool earlier_round = loop_head(s) == s && loop_head(other) == s;
      if (!earlier_round) add(other);
    }
    if (stage.when) {
      for (const Reference& reference : stage.when->references()) {
        if (!reference.is_request()) add(place_of(spec, reference.source));
      }
    }
    for (const std::string& id : stage.after) add(place_of(spec, id));
    needs_[index(s)].assign(needed.begin(), needed.end());
  }
}

tl::expected<void, GraphProblem> StageGraph::set_order(const PipelineSpec& spec) {
  level_.assign(needs_.size(), 0);
  std::set<int32_t> waiting;
  for (int32_t s = 0; s < size(); ++s) waiting.insert(s);
  while (!waiting.empty()) {
    const auto ready = std::find_if(waiting.begin(), waiting.end(), [&](int32_t s) {
      return std::none_of(needs(s).begin(), needs(s).end(),
                          [&](int32_t needed) { return waiting.contains(needed); });
    });
    if (ready == waiting.end()) {
      const std::vector<int32_t> circle = find_circle(needs_, waiting);
      std::string text = "needs itself: ";
      for (const int32_t s : circle) text += spec.stages[index(s)].id + " -> ";
      return Problem({circle.front(), text + spec.stages[index(circle.front())].id});
    }
    for (const int32_t needed : needs(*ready)) {
      level_[index(*ready)] = std::max(level_[index(*ready)], level(needed) + 1);
    }
    order_.push_back(*ready);
    waiting.erase(ready);
  }
  return {};
}

void StageGraph::set_reach() {
  reach_.assign(needs_.size(), std::vector<bool>(needs_.size()));
  for (const int32_t s : order_) {
    for (const int32_t needed : needs(s)) {
      reach_[index(s)][index(needed)] = true;
      for (int32_t far = 0; far < size(); ++far) {
        if (has_need(needed, far)) reach_[index(s)][index(far)] = true;
      }
    }
  }
}

tl::expected<void, GraphProblem> StageGraph::check_loops(const PipelineSpec& spec) const {
  for (int32_t s = 0; s < size(); ++s) {
    const int32_t head = loop_head(s);
    if (head < 0 || head == s || has_need(s, head)) continue;
    return Problem({s, "is in the loop of " + spec.stages[index(head)].id + " and must need it"});
  }
  return {};
}

CriticalPath critical_path(const StageGraph& graph, std::span<const int64_t> costs) {
  CHECK(costs.size() == static_cast<size_t>(graph.size()));
  std::vector<int64_t> total(costs.begin(), costs.end());
  std::vector<int32_t> previous(costs.size(), -1);
  int32_t last = -1;
  for (const int32_t s : graph.order()) {
    const auto at = static_cast<size_t>(s);
    for (const int32_t needed : graph.needs(s)) {
      const int64_t with = total[static_cast<size_t>(needed)] + costs[at];
      if (previous[at] >= 0 && with <= total[at]) continue;
      total[at] = with;
      previous[at] = needed;
    }
    if (last < 0 || total[at] > total[static_cast<size_t>(last)]) last = s;
  }
  CriticalPath path;
  if (last >= 0) path.cost = total[static_cast<size_t>(last)];
  for (; last >= 0; last = previous[static_cast<size_t>(last)]) path.stages.push_back(last);
  std::reverse(path.stages.begin(), path.stages.end());
  return path;
}

std::vector<std::vector<int32_t>> parallel_groups(const StageGraph& graph) {
  std::vector<std::vector<int32_t>> groups(static_cast<size_t>(graph.size()));
  for (int32_t s = 0; s < graph.size(); ++s) {
    groups[static_cast<size_t>(graph.level(s))].push_back(s);
  }
  std::erase_if(groups, [](const auto& group) { return group.size() < 2; });
  return groups;
}

std::vector<SharedBatch> shared_batches(const PipelineSpec& spec, const StageGraph& graph) {
  std::vector<SharedBatch> shared;
  for (const ModelSpec& model : spec.models) {
    std::vector<SharedBatch> batches;
    for (const int32_t s : graph.order()) {
      const auto models = spec.models_of(spec.stages[static_cast<size_t>(s)]);
      if (std::find(models.begin(), models.end(), model.id) == models.end()) continue;
      const auto fits = std::find_if(batches.begin(), batches.end(), [&](const SharedBatch& batch) {
        return std::all_of(batch.stages.begin(), batch.stages.end(),
                           [&](int32_t other) { return graph.are_independent(s, other); });
      });
      if (fits == batches.end()) {
        batches.push_back({model.id, {s}});
      } else {
        fits->stages.push_back(s);
      }
    }
    std::erase_if(batches, [](const SharedBatch& batch) { return batch.stages.size() < 2; });
    shared.insert(shared.end(), batches.begin(), batches.end());
  }
  return shared;
}

std::vector<ToolWindow> tool_windows(const PipelineSpec& spec, const StageGraph& graph) {
  std::vector<ToolWindow> windows;
  for (const int32_t tool : graph.order()) {
    const StageSpec& stage = spec.stages[static_cast<size_t>(tool)];
    if (!stage.tool || !stage.tool->latency) continue;
    ToolWindow window{tool, *stage.tool->latency, {}, {}};
    add_unique(window.keep, spec.models_of(stage));
    std::vector<int32_t> later;
    for (const int32_t s : graph.order()) {
      if (graph.has_need(s, tool)) later.push_back(s);
      if (graph.are_independent(s, tool)) {
        add_unique(window.keep, spec.models_of(spec.stages[static_cast<size_t>(s)]));
      }
    }
    std::stable_sort(later.begin(), later.end(),
                     [&](int32_t a, int32_t b) { return graph.level(a) < graph.level(b); });
    // In a loop the first stage comes round again after the tool.
    if (const int32_t head = graph.loop_head(tool); head >= 0 && head != tool) {
      later.insert(later.begin(), head);
    }
    for (const int32_t s : later) {
      add_unique(window.stage_next, spec.models_of(spec.stages[static_cast<size_t>(s)]));
    }
    windows.push_back(std::move(window));
  }
  return windows;
}

int32_t rounds_max(const PipelineSpec& spec, const StageGraph& graph, int32_t stage) {
  const int32_t head = graph.loop_head(stage);
  return head < 0 ? 1 : spec.stages[static_cast<size_t>(head)].loop->rounds_max;
}

}  // namespace neuros::builder
