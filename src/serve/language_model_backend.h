#pragma once

/// The served models of this process.

#include "serve/backend.h"

#include <memory>
#include <vector>

namespace neuros::serve {

/// A booted model as serve/ sees it. `model` must outlive the result.
std::shared_ptr<ServedModel> serve_language_model(pipeline::LanguageModel& model);

/// A fixed list of models.
class FixedBackend final : public Backend {
 public:
  explicit FixedBackend(std::vector<std::shared_ptr<ServedModel>> models)
      : models_(std::move(models)) {}
  std::vector<std::shared_ptr<ServedModel>> models() const override { return models_; }

 private:
  std::vector<std::shared_ptr<ServedModel>> models_;
};

}  // namespace neuros::serve
