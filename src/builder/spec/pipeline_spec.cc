#include "builder/spec/pipeline_spec.h"

#include <algorithm>

namespace neuros::builder {
namespace {

template <typename T>
const T* find_by_id(const std::vector<T>& all, std::string_view id) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const T& t) { return t.id == id; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const ModelSpec* PipelineSpec::find_model(std::string_view id) const {
  return find_by_id(models, id);
}

const RouteSpec* PipelineSpec::find_route(std::string_view id) const {
  return find_by_id(routes, id);
}

int32_t PipelineSpec::find_stage(std::string_view id) const {
  const StageSpec* found = find_by_id(stages, id);
  return found == nullptr ? -1 : static_cast<int32_t>(found - stages.data());
}

std::vector<std::string> PipelineSpec::models_of(const StageSpec& stage) const {
  std::vector<std::string> ids;
  const auto add = [&](const std::string& id) {
    if (!id.empty() && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  if (const RouteSpec* route = find_route(stage.run)) {
    for (const RouteSpec::Branch& branch : route->branches) add(branch.model);
    add(route->otherwise);
  } else {
    add(stage.run);
  }
  if (stage.tool) {
    add(stage.tool->embed);
    add(stage.tool->rerank);
  }
  return ids;
}

}  // namespace neuros::builder
