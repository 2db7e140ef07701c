#pragma once

/// What happens to a model's files and to its options before it is booted, alone or in a fleet.

#include "base/result.h"
#include "builder/builder.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "kernels/choice_table.h"
#include "pipeline/language_model.h"
#include "pipeline/target_machine.h"
#include "text/chat_template.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// A model's files, read but for the weights.
struct OpenedModel {
  formats::Checkpoint checkpoint;
  plan::Program program;
  std::string id;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplate> chat_template;
  SamplingParams default_sampling;
};

/// `name`, or the file's if that is empty.
std::string model_id(const std::string& name, const std::string& path);

/// Errors name the file.
base::Result<OpenedModel> open_model(const std::string& path, const ModelOptions& options);

/// The same of a checkpoint that need not have tensors, and a program made before.
base::Result<OpenedModel> describe_model(formats::Checkpoint checkpoint, plan::Program program,
                                         std::string id);

base::Result<std::unique_ptr<device::Device>> open_device(const ModelOptions& options);

/// Rows of the table of kernel choices that options.tuning names; nullopt: it names none.
using TunedChoices = std::optional<std::vector<kernels::ChoiceRow>>;
base::Result<TunedChoices> read_choices(const ModelOptions& options);
/// What is asked of the builder; memory_bytes: all that the machine has for it. `choices` outlives
/// it.
base::Result<builder::PlanRequest> plan_request(const ModelOptions& options,
                                                const TargetMachine& machine,
                                                const TunedChoices& choices);
/// ModelOptions::weight_cache as a folder; "": nothing is kept.
std::string weight_cache_folder(const ModelOptions& options, const plan::Plan& plan);

}  // namespace neuros::pipeline
