#pragma once

#include "base/result.h"
#include "cli/sampling_flags.h"
#include "pipeline/language_model.h"
#include "plan/fleet_plan.h"

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace neuros::cli {

/// What to ask a model that is up, and how to print the answer.
struct AnswerFlags {
  SamplingFlags sampling;
  std::string prompt, system;
  int32_t max_tokens = 0;
  bool raw = false, json = false, quiet = false;

  void declare(CLI::App& app);
};

/// One answer, or a chat when no prompt is given; then what loading and memory came to. `fleet`:
/// the plan of all that was booted.
base::Result<> answer_user(pipeline::LanguageModel& model, const plan::FleetPlan& fleet,
                           const AnswerFlags& flags);

}  // namespace neuros::cli
