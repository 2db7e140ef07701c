#include "base/check.h"
#include "builder/spec/pipeline_report.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/stage_graph.h"
#include "cli/command.h"
#include "cli/model_flags.h"
#include "cli/plan_file_io.h"
#include "device/shipped_profiles.h"
#include "pipeline/pipeline_app.h"
#include "pipeline/spec_fleet.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct PlanFlags {
  ModelFlags model;
  std::string profile;
  std::string output;  ///< file of the plan; "": none
  bool json = false;
};

base::Result<pipeline::ModelOptions> options_of(const PlanFlags& flags) {
  pipeline::ModelOptions options = TRY(flags.model.resolve_with_progress());
  if (!flags.profile.empty()) options.planned_for = TRY(device::open_profile(flags.profile));
  return options;
}

base::Result<plan::FleetPlan> plan_models(const PlanFlags& flags, const builder::PipelineSpec& spec,
                                          const builder::StageGraph& graph) {
  const auto folder = std::filesystem::path(flags.model.path).parent_path();
  const pipeline::ModelOptions options = TRY(options_of(flags));
  return pipeline::plan_fleet(TRY(pipeline::fleet_models(spec, folder.string())),
                              pipeline::fleet_options(spec, options),
                              pipeline::fleet_wishes(spec, graph));
}

/// What a specification asks for, what its stages leave room for, and the plan of its models. Where
/// there can be none, the error comes after what was understood.
base::Result<> explain_pipeline(const PlanFlags& flags) {
  const builder::PipelineSpec spec = TRY(builder::load_pipeline(flags.model.path));
  const auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "load_pipeline has checked the stages");
  const auto fleet = plan_models(flags, spec, *graph);
  if (flags.json) {
    auto page = nlohmann::ordered_json::parse(builder::describe_json(spec, *graph));
    if (fleet) page["plan"] = nlohmann::ordered_json::parse(plan::describe_json(*fleet));
    std::cout << page.dump(2) + "\n";
  } else {
    std::cout << builder::describe(spec, *graph);
    if (fleet) std::cout << "\n" << plan::describe(*fleet);
  }
  if (!fleet) return tl::unexpected(with_context(fleet.error(), flags.model.path));
  return flags.output.empty() ? base::Result<>() : save_plan(*fleet, flags.output);
}

/// What a plan says that was made before.
base::Result<> explain_plan(const PlanFlags& flags, const plan::FleetPlan& fleet) {
  if (!flags.profile.empty() || !flags.output.empty()) {
    return base::fail(flags.model.path + ": a plan already; --profile and -o are for models");
  }
  std::cout << plan_page(fleet, flags.json);
  return {};
}

base::Result<> run_plan(const PlanFlags& flags) {
  if (const auto made = TRY(find_plan(flags.model.path))) return explain_plan(flags, *made);
  if (pipeline::is_pipeline_file(flags.model.path)) return explain_pipeline(flags);
  const pipeline::ModelOptions options = TRY(options_of(flags));
  const plan::Plan plan = TRY(pipeline::plan_model(flags.model.path, options));
  const plan::FleetPlan fleet = plan::fleet_of_one(plan);
  std::cout << plan_page(fleet, flags.json);
  return flags.output.empty() ? base::Result<>() : save_plan(fleet, flags.output);
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
  command->add_option("-o,--output", flags->output, "also write the plan to this file, as x.plan");
  command->add_flag("--json", flags->json, "for machines");
  command->footer(
      "Example: neuros plan model.gguf --memory 8GB\n"
      "         neuros plan model.gguf --device cuda --profile rtx-4090\n"
      "         neuros plan model.gguf -o model.plan; neuros plan model.plan\n"
      "         neuros plan pipeline.yaml --memory 24GB: stages, what each model gets, and why");
  command->callback([flags, &action] { action = [flags] { return run_plan(*flags); }; });
}

}  // namespace neuros::cli
