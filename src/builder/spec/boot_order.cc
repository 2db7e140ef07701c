#include "builder/spec/boot_order.h"

#include <algorithm>

namespace neuros::builder {

std::vector<std::string> boot_order(const PipelineSpec& spec, const StageGraph& graph) {
  std::vector<std::string> order;
  const auto append = [&](const std::string& id) {
    if (std::ranges::count(order, id) == 0) order.push_back(id);
  };
  for (const int32_t stage : graph.order()) {
    for (const std::string& id : spec.models_of(spec.stages[static_cast<size_t>(stage)])) {
      append(id);
    }
  }
  for (const ModelSpec& model : spec.models) append(model.id);
  return order;
}

}  // namespace neuros::builder
