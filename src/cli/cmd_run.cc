#include "cli/answers.h"
#include "cli/boot_flags.h"
#include "cli/boot_report.h"
#include "cli/command.h"
#include "cli/model_flags.h"
#include "cli/pipeline_run.h"
#include "pipeline/pipeline_app.h"

#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct RunFlags {
  ModelFlags model;
  AnswerFlags answer;
  BootFlags boot;
  bool verbose = false, show_plan = false;
};

base::Result<> run_stages(const RunFlags& flags) {
  if (flags.answer.raw || flags.show_plan) {
    return base::fail(flags.model.path + ": --raw and --plan are for a model, not a pipeline",
                      base::ErrorKind::kUnsupported);
  }
  const std::string& path = flags.model.path;
  pipeline::ModelOptions options = TRY(flags.model.resolve_with_progress());
  BootReport report(flags.verbose ? BootReport::Scope::kAll : BootReport::Scope::kFailures);
  options.boot = flags.boot.mode;
  options.on_model_boot = report.listener();
  const auto app = TRY(pipeline::PipelineApp::open(path, std::move(options)));
  report.set_count(app->fleet().models().size());
  return answer_by_stages(*app, flags.answer, flags.verbose);
}

base::Result<> run(const RunFlags& flags) {
  if (pipeline::is_pipeline_file(flags.model.path)) return run_stages(flags);
  const auto model = TRY(flags.model.open());
  if (flags.show_plan) std::cerr << plan::describe(model->plan());
  return answer_user(*model, plan::fleet_of_one(model->plan()), flags.answer);
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "one answer, or a chat when no prompt is given");
  flags->model.declare(*command);
  flags->answer.declare(*command);
  flags->boot.declare(*command);
  command->add_flag("-v,--verbose", flags->verbose, "the stages of a pipeline and their times");
  command->add_flag("--plan", flags->show_plan, "print the plan first");
  command->footer(
      "Example: neuros run model.gguf -p \"Once upon a time\" -n 64\n"
      "         neuros run pipeline.yaml -p \"What is new?\" --verbose");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace neuros::cli
