#pragma once

#include "pipeline/language_model.h"
#include "pipeline/stages/stage_model.h"

#include <memory>

namespace neuros::pipeline {

/// A language model as the stages of a pipeline use it: renders prompts through its chat template
/// where it has one, and keeps thoughts apart from what is said.
class LanguageStageModel final : public StageModel {
 public:
  /// `model` outlives the result.
  explicit LanguageStageModel(LanguageModel& model) : model_(model) {}

  base::Result<uint64_t> start(const ModelCall& call, std::shared_ptr<ModelSink> sink) override;
  void cancel(uint64_t generation) override { model_.cancel(generation); }

 private:
  LanguageModel& model_;
};

}  // namespace neuros::pipeline
