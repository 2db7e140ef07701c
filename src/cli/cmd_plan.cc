#include "base/check.h"
#include "builder/spec/pipeline_report.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/stage_graph.h"
#include "cli/command.h"
#include "cli/model_flags.h"
#include "device/shipped_profiles.h"

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct PlanFlags {
  ModelFlags model;
  std::string profile;
  bool json = false;
};

bool is_pipeline(const std::string& path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

/// What a specification asks for, and what its stages leave room for.
base::Result<> explain_pipeline(const PlanFlags& flags) {
  const builder::PipelineSpec spec = TRY(builder::load_pipeline(flags.model.path));
  const auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "load_pipeline has checked the stages");
  std::cout << (flags.json ? builder::describe_json(spec, *graph) + "\n"
                           : builder::describe(spec, *graph));
  return {};
}

base::Result<> run_plan(const PlanFlags& flags) {
  if (is_pipeline(flags.model.path)) {
    if (flags.profile.empty()) return explain_pipeline(flags);
    return base::fail(flags.model.path + ": --profile plans a model for a machine, not a pipeline");
  }
  pipeline::ModelOptions options = TRY(flags.model.resolve());
  if (!flags.profile.empty()) options.planned_for = TRY(device::open_profile(flags.profile));
  const plan::Plan plan = TRY(pipeline::plan_model(flags.model.path, options));
  std::cout << (flags.json ? plan::describe_json(plan) + "\n" : plan::describe(plan));
  return {};
}

std::string shipped_names() {
  std::string names;
  for (const base::EmbeddedFile& shipped : device::shipped_profiles()) {
    names += (names.empty() ? "" : ", ") + std::string(shipped.name);
  }
  return names;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand("plan", "explain the plan: every tier, kernel and byte");
  flags->model.declare(*command);
  command->add_option("--profile", flags->profile,
                      "plan for another machine: a file of neuros profile, or " + shipped_names());
  command->add_flag("--json", flags->json, "for machines");
  command->footer(
      "Example: neuros plan model.gguf --memory 8GB\n"
      "         neuros plan model.gguf --device cuda --profile rtx-4090\n"
      "         neuros plan pipeline.yaml: models, stages, and what may overlap");
  command->callback([flags, &action] { action = [flags] { return run_plan(*flags); }; });
}

}  // namespace neuros::cli
