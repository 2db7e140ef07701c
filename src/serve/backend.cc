#include "serve/backend.h"

namespace neuros::serve {
namespace {

template <typename T, typename IdOf>
std::shared_ptr<T> find(const std::vector<std::shared_ptr<T>>& all, std::string_view id,
                        IdOf id_of) {
  for (const auto& one : all) {
    if (id_of(*one) == id) return one;
  }
  const bool any = id.empty() || id == "default";
  return any && !all.empty() ? all.front() : nullptr;
}

}  // namespace

std::shared_ptr<ServedModel> find_model(const Backend& backend, std::string_view id) {
  return find(backend.models(), id, [](const ServedModel& model) { return model.facts().id; });
}

std::shared_ptr<ServedPipeline> find_pipeline(const Backend& backend, std::string_view id) {
  return find(backend.pipelines(), id,
              [](const ServedPipeline& pipeline) { return pipeline.facts().id; });
}

std::shared_ptr<ServedRoute> find_route(const Backend& backend, std::string_view id) {
  return find(backend.routes(), id, [](const ServedRoute& route) { return route.id(); });
}

}  // namespace neuros::serve
