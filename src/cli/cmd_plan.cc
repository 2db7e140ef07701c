#include "cli/command.h"
#include "cli/model_flags.h"

#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct PlanFlags {
  ModelFlags model;
  bool json = false;
};

base::Result<> run_plan(const PlanFlags& flags) {
  const plan::Plan plan = TRY(pipeline::plan_model(flags.model.path, TRY(flags.model.resolve())));
  std::cout << (flags.json ? plan::describe_json(plan) + "\n" : plan::describe(plan));
  return {};
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand("plan", "explain the plan: every tier, kernel and byte");
  flags->model.declare(*command);
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros plan model.gguf --memory 8GB");
  command->callback([flags, &action] { action = [flags] { return run_plan(*flags); }; });
}

}  // namespace neuros::cli
