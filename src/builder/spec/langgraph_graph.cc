#include "builder/spec/langgraph_graph.h"

#include "builder/spec/limits.h"
#include "formats/json_text.h"
#include "formats/printable.h"

#include <algorithm>
#include <map>

namespace neuros::builder {
namespace {

using nlohmann::json;

constexpr int kJsonDepthMax = 64;                     // schemas of nodes nest
constexpr size_t kNodesMax = limits::kStagesMax + 2;  // with start and end
constexpr size_t kEdgesMax = kNodesMax * 8;
constexpr std::string_view kStart = "__start__";
constexpr std::string_view kEnd = "__end__";

/// "a" or 3, as ids are; empty for anything else.
std::string id_text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : "";
}

bool is_model_class(const json& class_path) {
  if (!class_path.is_array() || class_path.empty()) return false;
  for (const json& part : class_path) {
    if (part == "chat_models" || part == "llms") return true;
  }
  const json& last = class_path.back();
  if (!last.is_string()) return false;
  const std::string& name = last.get_ref<const std::string&>();
  return name.starts_with("Chat") && !name.starts_with("ChatPrompt");
}

class GraphReader {
 public:
  explicit GraphReader(const json& root) : root_(root) {}

  base::Result<LangGraph> read() {
    const json* nodes = TRY(array("nodes", kNodesMax));
    for (const json& node : *nodes) {
      const std::string where = "nodes[" + std::to_string(graph_.nodes.size()) + "]: ";
      if (const auto added = add_node(node); !added)
        return base::fail(where + added.error().message);
    }
    const json* edges = TRY(array("edges", kEdgesMax));
    for (const json& edge : *edges) {
      const std::string where = "edges[" + std::to_string(graph_.edges.size()) + "]: ";
      if (const auto added = add_edge(edge); !added)
        return base::fail(where + added.error().message);
    }
    return std::move(graph_);
  }

 private:
  base::Result<const json*> array(const char* key, size_t count_max) const {
    const auto found = root_.find(key);
    if (found == root_.end() || !found->is_array()) {
      return base::fail("no list " + std::string(key) + ", expected graph.get_graph().to_json()");
    }
    if (found->size() > count_max) {
      return base::fail(std::to_string(found->size()) + " " + key + ", at most " +
                        std::to_string(count_max));
    }
    return &*found;
  }

  base::Result<> add_node(const json& node) {
    if (!node.is_object()) return base::fail(formats::json_type(node) + ", expected an object");
    const std::string id = id_text(node, "id");
    if (id.empty()) return base::fail("no id");
    if (!places_.emplace(id, static_cast<int32_t>(graph_.nodes.size())).second) {
      return base::fail("id " + formats::printable(id) + " twice");
    }
    LangGraphNode read;
    read.name = id;
    read.schema = node.contains("type") && node["type"] == "schema";
    const auto data = node.find("data");
    if (data != node.end()) read_data(*data, node["id"].is_number_integer(), read);
    graph_.nodes.push_back(std::move(read));
    return {};
  }

  static void read_data(const json& data, bool numbered, LangGraphNode& node) {
    if (data.is_string() && numbered) node.name = data.get<std::string>();
    if (!data.is_object()) return;
    const auto name = data.find("name");
    if (numbered && name != data.end() && name->is_string()) node.name = name->get<std::string>();
    const auto class_path = data.find("id");
    if (class_path != data.end()) node.runs_model = is_model_class(*class_path);
  }

  base::Result<> add_edge(const json& edge) {
    if (!edge.is_object()) return base::fail(formats::json_type(edge) + ", expected an object");
    LangGraphEdge read;
    read.source = TRY(place_of(edge, "source"));
    read.target = TRY(place_of(edge, "target"));
    const auto conditional = edge.find("conditional");
    read.conditional = conditional != edge.end() && *conditional == true;
    const auto label = edge.find("data");
    if (label != edge.end() && label->is_string()) read.label = label->get<std::string>();
    if (read.label.empty()) read.label = graph_.nodes[static_cast<size_t>(read.target)].name;
    graph_.edges.push_back(std::move(read));
    return {};
  }

  base::Result<int32_t> place_of(const json& edge, const char* key) const {
    const std::string id = id_text(edge, key);
    const auto found = places_.find(id);
    if (found != places_.end()) return found->second;
    return base::fail(std::string(key) + " " + formats::printable(id, 64) + ": no such node");
  }

  const json& root_;
  LangGraph graph_;
  std::map<std::string, int32_t> places_;
};

}  // namespace

bool LangGraph::is_start(int32_t node) const {
  const LangGraphNode& at = nodes[static_cast<size_t>(node)];
  const bool reached = std::any_of(edges.begin(), edges.end(),
                                   [&](const LangGraphEdge& edge) { return edge.target == node; });
  return !reached && (at.schema || at.name == kStart);
}

bool LangGraph::is_end(int32_t node) const {
  const LangGraphNode& at = nodes[static_cast<size_t>(node)];
  const bool left = std::any_of(edges.begin(), edges.end(),
                                [&](const LangGraphEdge& edge) { return edge.source == node; });
  return !left && !is_start(node) && (at.schema || at.name == kEnd);
}

base::Result<LangGraph> parse_langgraph(std::string_view text) {
  const json root = TRY(formats::parse_json_object(text, kJsonDepthMax));
  return GraphReader(root).read();
}

}  // namespace neuros::builder
