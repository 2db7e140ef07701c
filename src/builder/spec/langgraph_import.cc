#include "builder/spec/langgraph_import.h"

#include "builder/spec/expression_parser.h"
#include "builder/spec/langgraph_graph.h"
#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/spec/pipeline_yaml.h"
#include "formats/printable.h"

#include <algorithm>
#include <map>
#include <set>

namespace neuros::builder {
namespace {

constexpr int32_t kRoundsDefault = 25;  // LangGraph's own limit of steps

/// A name made an id: other characters become underscores, and it is cut. `marks` may stay.
std::string id_from(std::string_view name, std::string_view marks) {
  std::string id;
  for (const char c : name) {
    const bool digit = c >= '0' && c <= '9';
    if (id.size() == limits::kIdCharactersMax - 4) break;  // room for a number behind
    if (id.empty() && !begins_name(c)) id += '_';
    if (!id.empty() && id != "_" && marks.find(c) != std::string_view::npos) {
      id += c;
    } else {
      id += begins_name(c) || digit ? c : '_';
    }
  }
  return id.empty() ? "_" : id;
}

/// The same with a number behind it where it is taken.
std::string unique_id(const std::string& id, std::set<std::string>& taken) {
  std::string unique = id;
  for (int n = 2; !taken.insert(unique).second; ++n) unique = id + "_" + std::to_string(n);
  return unique;
}

/// "models/qwen3-8b.gguf" -> "qwen3-8b".
std::string stem_of(std::string file) {
  while (file.size() > 1 && file.back() == '/') file.pop_back();
  file = file.substr(file.rfind('/') + 1);
  return file.ends_with(".gguf") ? file.substr(0, file.size() - 5) : file;
}

class Importer {
 public:
  Importer(LangGraph graph, const std::vector<NodeModel>& models)
      : graph_(std::move(graph)), models_(models) {}

  base::Result<PipelineSpec> import() {
    TRY(check_models());
    TRY(find_circles());
    name_stages();
    add_models();
    for (int32_t node = 0; node < size(); ++node) {
      if (!stage_ids_[at(node)].empty()) TRY(add_stage(node));
    }
    return std::move(spec_);
  }

 private:
  static size_t at(int32_t node) { return static_cast<size_t>(node); }
  int32_t size() const { return static_cast<int32_t>(graph_.nodes.size()); }
  const std::string& name(int32_t node) const { return graph_.nodes[at(node)].name; }
  std::string shown(int32_t node) const { return formats::printable(name(node), 64); }

  const NodeModel* model_of(int32_t node) const {
    const auto found = std::find_if(models_.begin(), models_.end(),
                                    [&](const NodeModel& m) { return m.node == name(node); });
    return found == models_.end() ? nullptr : &*found;
  }

  /// Every node that runs a model has one, and every model a node.
  base::Result<> check_models() const {
    std::vector<std::string> names;
    std::string missing;
    for (int32_t node = 0; node < size(); ++node) {
      if (graph_.is_start(node) || graph_.is_end(node)) continue;
      names.push_back(shown(node));
      const bool lacks = graph_.nodes[at(node)].runs_model && model_of(node) == nullptr;
      if (lacks) missing += (missing.empty() ? "" : ", ") + shown(node);
    }
    if (!missing.empty()) {
      return base::fail("nodes that run a model need --model NODE=FILE: " + missing);
    }
    std::set<std::string> seen;
    for (const NodeModel& model : models_) {
      const std::string shown = formats::printable(model.node, 64);
      if (std::find(names.begin(), names.end(), shown) == names.end()) {
        return base::fail("--model " + shown + ": no such node" + suggestion(shown, names));
      }
      if (!seen.insert(model.node).second) return base::fail("--model " + shown + " twice");
    }
    if (!models_.empty()) return {};
    return base::fail("no node runs a model: give --model NODE=FILE for those that do");
  }

  /// reach[a][b]: edges lead from a to b.
  std::vector<std::vector<bool>> reach() const {
    std::vector<std::vector<bool>> reach(at(size()), std::vector<bool>(at(size())));
    for (const LangGraphEdge& edge : graph_.edges) reach[at(edge.source)][at(edge.target)] = true;
    for (int32_t via = 0; via < size(); ++via) {
      for (int32_t from = 0; from < size(); ++from) {
        if (!reach[at(from)][at(via)]) continue;
        for (int32_t to = 0; to < size(); ++to) {
          if (reach[at(via)][at(to)]) reach[at(from)][at(to)] = true;
        }
      }
    }
    return reach;
  }

  struct Circle {
    int32_t head = -1;
    std::vector<int32_t> members;  ///< with the head
  };

  /// Fills circles_, and takes the edges that close them out of the graph.
  base::Result<> find_circles() {
    const auto paths = reach();
    std::vector<bool> seen(at(size()));
    for (int32_t node = 0; node < size(); ++node) {
      if (seen[at(node)] || !paths[at(node)][at(node)]) continue;
      Circle circle;
      for (int32_t other = 0; other < size(); ++other) {
        if (!paths[at(node)][at(other)] || !paths[at(other)][at(node)]) continue;
        circle.members.push_back(other);
        seen[at(other)] = true;
      }
      TRY(set_head(circle));
      circles_.push_back(std::move(circle));
    }
    for (const Circle& circle : circles_) {
      std::erase_if(graph_.edges, [&](const LangGraphEdge& edge) {
        return edge.target == circle.head && contains(circle, edge.source);
      });
    }
    const auto left = reach();
    for (int32_t node = 0; node < size(); ++node) {
      if (left[at(node)][at(node)]) {
        return base::fail("node " + shown(node) + " is in a circle inside a circle");
      }
    }
    return {};
  }

  static bool contains(const Circle& circle, int32_t node) {
    return std::find(circle.members.begin(), circle.members.end(), node) != circle.members.end();
  }

  std::string shown(const Circle& circle) const {
    std::string text = "circle";
    for (const int32_t member : circle.members) text += " " + shown(member);
    return text;
  }

  base::Result<> set_head(Circle& circle) const {
    bool leaves = false;
    for (const LangGraphEdge& edge : graph_.edges) {
      const bool from = contains(circle, edge.source), to = contains(circle, edge.target);
      leaves = leaves || (from && !to && edge.conditional);
      if (from || !to || edge.target == circle.head) continue;
      if (circle.head >= 0) {
        return base::fail(shown(circle) + ": entered at " + shown(circle.head) + " and at " +
                          shown(edge.target) + "; a loop has one beginning");
      }
      circle.head = edge.target;
    }
    if (circle.head < 0) return base::fail(shown(circle) + ": no edge leads to it");
    if (!leaves) return base::fail(shown(circle) + ": no conditional edge leaves it");
    return {};
  }

  void name_stages() {
    std::set<std::string> taken{"request"};
    for (int32_t node = 0; node < size(); ++node) {
      const bool outside = graph_.is_start(node) || graph_.is_end(node);
      stage_ids_.push_back(outside ? "" : unique_id(id_from(name(node), ""), taken));
    }
  }

  void add_models() {
    std::set<std::string> taken;
    for (const NodeModel& model : models_) {
      if (model_ids_.contains(model.file)) continue;
      ModelSpec spec;
      spec.id = unique_id(id_from(stem_of(model.file), "-."), taken);
      spec.file = model.file;
      model_ids_[model.file] = spec.id;
      spec_.models.push_back(std::move(spec));
    }
  }

  /// "$router.next == \"search\"".
  std::string taken_edge(const LangGraphEdge& edge) const {
    std::string label;
    for (const char c : edge.label) {
      if (c == '"' || c == '\\') label += '\\';
      label += c;
    }
    return source_of(edge).text() + ".next == \"" + label + "\"";
  }

  Reference source_of(const LangGraphEdge& edge) const {
    const std::string& id = stage_ids_[at(edge.source)];
    return {id.empty() ? "request" : id, ""};
  }

  static base::Result<Expression> any_of(const std::vector<std::string>& conditions,
                                         ExpressionScope scope) {
    std::string text;
    for (const std::string& condition : conditions) {
      text += (text.empty() ? "" : " or ") + condition;
    }
    return parse_expression(text, scope);
  }

  base::Result<> add_stage(int32_t node) {
    StageSpec stage;
    stage.id = stage_ids_[at(node)];
    if (const NodeModel* model = model_of(node)) {
      stage.run = model_ids_.at(model->file);
    } else {
      stage.tool.emplace().name = name(node);
    }
    TRY(add_inputs(node, stage));
    TRY(add_loop(node, stage));
    spec_.stages.push_back(std::move(stage));
    return {};
  }

  base::Result<> add_inputs(int32_t node, StageSpec& stage) const {
    std::vector<std::string> conditions;
    bool always = false;
    for (const LangGraphEdge& edge : graph_.edges) {
      if (edge.target != node) continue;
      Reference source = source_of(edge);
      if (std::find(stage.inputs.begin(), stage.inputs.end(), source) == stage.inputs.end()) {
        stage.inputs.push_back(std::move(source));
      }
      always = always || !edge.conditional;
      if (edge.conditional) conditions.push_back(taken_edge(edge));
    }
    if (stage.inputs.empty()) return base::fail("node " + shown(node) + ": no edge leads to it");
    if (!always) stage.when = TRY(any_of(conditions, ExpressionScope::kWhen));
    return {};
  }

  base::Result<> add_loop(int32_t node, StageSpec& stage) const {
    const auto circle = std::find_if(circles_.begin(), circles_.end(),
                                     [&](const Circle& c) { return c.head == node; });
    if (circle == circles_.end()) return {};
    LoopSpec& loop = stage.loop.emplace();
    loop.rounds_max = kRoundsDefault;
    std::vector<std::string> exits;
    for (const LangGraphEdge& edge : graph_.edges) {
      const bool leaves = contains(*circle, edge.source) && !contains(*circle, edge.target);
      if (leaves && edge.conditional) exits.push_back(taken_edge(edge));
    }
    loop.until = TRY(any_of(exits, ExpressionScope::kUntil));
    for (const int32_t member : circle->members) {
      if (member != node) loop.body.push_back(stage_ids_[at(member)]);
    }
    return {};
  }

  LangGraph graph_;
  const std::vector<NodeModel>& models_;
  std::vector<Circle> circles_;
  std::vector<std::string> stage_ids_;            ///< by node; empty: the request or the end
  std::map<std::string, std::string> model_ids_;  ///< by file
  PipelineSpec spec_;
};

}  // namespace

base::Result<PipelineSpec> import_langgraph(std::string_view json,
                                            const std::vector<NodeModel>& models) {
  LangGraph graph = TRY(parse_langgraph(json));
  const PipelineSpec spec = TRY(Importer(std::move(graph), models).import());
  return parse_pipeline(to_yaml(spec), "pipeline.yaml");
}

}  // namespace neuros::builder
