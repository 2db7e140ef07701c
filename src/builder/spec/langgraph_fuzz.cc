#include "builder/spec/langgraph_graph.h"
#include "builder/spec/langgraph_import.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/spec/pipeline_yaml.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

/// Any text as a LangGraph graph; every second node runs a model. What is imported is valid.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace builder = neuros::builder;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto graph = builder::parse_langgraph(json);
  if (!graph) return 0;
  std::vector<builder::NodeModel> models;
  for (size_t i = 0; i < graph->nodes.size(); ++i) {
    const auto node = static_cast<int32_t>(i);
    if (graph->is_start(node) || graph->is_end(node)) continue;
    if (models.empty() || graph->nodes[i].runs_model || i % 2 == 0) {
      models.push_back({graph->nodes[i].name, i % 3 == 0 ? "m.gguf" : "dir/n"});
    }
  }
  const auto spec = builder::import_langgraph(json, models);
  if (!spec) return 0;
  const auto again = builder::parse_pipeline(builder::to_yaml(*spec), "again.yaml");
  if (!again || *again != *spec) std::abort();
  return 0;
}
