#include "serve/backend.h"

namespace neuros::serve {

std::shared_ptr<ServedModel> find_model(const Backend& backend, std::string_view id) {
  const auto models = backend.models();
  for (const auto& model : models) {
    if (model->facts().id == id) return model;
  }
  if ((id.empty() || id == "default") && !models.empty()) return models.front();
  return nullptr;
}

}  // namespace neuros::serve
