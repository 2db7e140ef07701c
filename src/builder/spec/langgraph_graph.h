#pragma once

/// A LangGraph graph as langchain_core's `Graph.to_json()` writes it: nodes with an id (a text, or
/// its number where it was a UUID), a type and data that name a class; edges that may be
/// conditional and carry a label.

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct LangGraphNode {
  std::string name;         ///< its id, or its data's name where the id is a number
  bool schema = false;      ///< a type, not something that runs
  bool runs_model = false;  ///< a chat model or LLM, by its class
};

struct LangGraphEdge {
  int32_t source = 0;  ///< places in the nodes
  int32_t target = 0;
  bool conditional = false;
  std::string label;  ///< of a conditional edge: what the branch has to give; never empty
};

struct LangGraph {
  std::vector<LangGraphNode> nodes;
  std::vector<LangGraphEdge> edges;

  bool is_start(int32_t node) const;
  bool is_end(int32_t node) const;
};

/// Errors begin with "nodes[3]: " or "edges[2]: ".
base::Result<LangGraph> parse_langgraph(std::string_view json);

}  // namespace neuros::builder
