#pragma once

#include "pipeline/model_opening.h"

#include <memory>
#include <string>

namespace neuros::pipeline {

/// What a model that is up consists of besides its memory.
struct LanguageModel::State {
  /// Of what was opened, all that is needed once the weights are loaded.
  State(OpenedModel opened, runtime::Engine& booted);
  /// The same model under another name.
  State(const State& same, std::string other_id);

  std::string id;
  int64_t created_unix_s;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<const text::ChatTemplate> chat_template;  ///< null: there is none
  SamplingParams default_sampling;
  // Of a model that is alone:
  std::unique_ptr<device::Device> device;
  std::unique_ptr<runtime::Engine> own_engine;  // its thread stops before what it uses goes
  runtime::Engine& engine;
};

}  // namespace neuros::pipeline
