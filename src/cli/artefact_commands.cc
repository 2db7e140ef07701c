#include "cli/artefact_commands.h"

#include "base/check.h"
#include "builder/spec/boot_order.h"
#include "builder/spec/pipeline_yaml.h"
#include "cli/answers.h"
#include "cli/boot_flags.h"
#include "cli/boot_report.h"
#include "cli/load_report.h"
#include "cli/pipeline_run.h"
#include "cli/plan_file_io.h"
#include "cli/serving.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

using pipeline::Artefact;

struct RunFlags {
  AnswerFlags answer;
  BootFlags boot;
  std::string model;  ///< "": the stages, or without those the first
  bool verbose = false;
};

struct PlanFlags {
  bool json = false, specification = false;
};

/// `asked` wins over the specification. `options`: what both do not say.
base::Result<std::unique_ptr<pipeline::ModelFleet>> boot(const Artefact& artefact,
                                                         const builder::PipelineSpec& spec,
                                                         const BootFlags& asked,
                                                         pipeline::BootOptions options,
                                                         BootReport& report) {
  const auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "parse_pipeline has checked the stages");
  pipeline::PreparedFleet prepared = TRY(artefact.prepare());
  options.on_progress = show_load_progress();
  options.boot = asked.mode.value_or(spec.memory.boot.value_or(sched::BootMode::kEager));
  options.order = builder::boot_order(spec, *graph);
  options.on_model_boot = report.listener();
  auto fleet = TRY(pipeline::ModelFleet::boot(std::move(prepared), options));
  report.set_count(fleet->models().size());
  return fleet;
}

base::Result<pipeline::LanguageModel*> find_model(const pipeline::ModelFleet& fleet,
                                                  const std::string& id) {
  std::string ids;
  for (const auto& model : fleet.models()) {
    if (id.empty() || model->id() == id) return model.get();
    ids += (ids.empty() ? "" : ", ") + model->id();
  }
  return base::fail("no model " + id + ", there are " + ids, base::ErrorKind::kNotFound);
}

std::string folder_of(const Artefact& artefact) {
  return std::filesystem::path(artefact.path()).parent_path().string();
}

/// As the specification says that it was built from.
base::Result<> serve(const Artefact& artefact, const ServingFlags& flags) {
  builder::PipelineSpec spec =
      TRY(builder::parse_pipeline(artefact.specification(), artefact.path()));
  BootReport report(BootReport::Scope::kAll);
  pipeline::BootOptions options;
  options.queue_max = flags.queue;
  options.trace = flags.trace;
  auto fleet = TRY(boot(artefact, spec, flags.boot, options, report));
  if (spec.stages.empty() && spec.routes.empty()) return serve_fleet(*fleet, flags);
  const auto app = TRY(pipeline::PipelineApp::over(std::move(spec), std::move(fleet),
                                                   folder_of(artefact), flags.queue));
  return serve_pipeline(*app, flags);
}

base::Result<> run(const Artefact& artefact, const RunFlags& flags) {
  builder::PipelineSpec spec =
      TRY(builder::parse_pipeline(artefact.specification(), artefact.path()));
  constexpr int32_t kQueue = 64;  // stages may run side by side
  BootReport report(flags.verbose ? BootReport::Scope::kAll : BootReport::Scope::kFailures);
  pipeline::BootOptions options;
  options.queue_max = kQueue;
  auto fleet = TRY(boot(artefact, spec, flags.boot, options, report));
  if (flags.model.empty() && !spec.stages.empty()) {
    const auto app = TRY(pipeline::PipelineApp::over(std::move(spec), std::move(fleet),
                                                     folder_of(artefact), kQueue));
    return answer_by_stages(*app, flags.answer, flags.verbose);
  }
  pipeline::LanguageModel* model = TRY(find_model(*fleet, flags.model));
  return answer_user(*model, fleet->plan(), flags.answer);
}

base::Result<> explain(const Artefact& artefact, const PlanFlags& flags) {
  std::cout << (flags.specification ? artefact.specification()
                                    : plan_page(artefact.plan(), flags.json));
  return {};
}

void add_serve(CLI::App& app, Action& action, const Artefact& artefact) {
  auto flags = std::make_shared<ServingFlags>();
  CLI::App* command = app.add_subcommand("serve", "the OpenAI API for its models");
  flags->declare(*command);
  command->footer("Example: " + app.get_name() + " serve --port 8080");
  command->callback([flags, &action, &artefact] {
    action = [flags, &artefact] { return serve(artefact, *flags); };
  });
}

void add_run(CLI::App& app, Action& action, const Artefact& artefact) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "one answer, or a chat when no prompt is given");
  flags->answer.declare(*command);
  flags->boot.declare(*command);
  command->add_option("--model", flags->model,
                      "id of the one to ask; default: the pipeline, or without stages the first");
  command->add_flag("-v,--verbose", flags->verbose, "the stages of a pipeline and their times");
  command->footer("Example: " + app.get_name() + " run -p \"Once upon a time\" -n 64");
  command->callback([flags, &action, &artefact] {
    action = [flags, &artefact] { return run(artefact, *flags); };
  });
}

void add_plan(CLI::App& app, Action& action, const Artefact& artefact) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand("plan", "explain the plan: every tier, kernel and byte");
  command->add_flag("--json", flags->json, "for machines");
  command->add_flag("--specification", flags->specification, "what it was built from, as YAML");
  command->footer("Example: " + app.get_name() + " plan --json");
  command->callback([flags, &action, &artefact] {
    action = [flags, &artefact] { return explain(artefact, *flags); };
  });
}

}  // namespace

base::Result<std::optional<Artefact>> own_artefact() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return std::nullopt;
  return Artefact::find(path.string());
}

void add_artefact_commands(CLI::App& app, Action& action, const Artefact& artefact) {
  add_serve(app, action, artefact);
  add_run(app, action, artefact);
  add_plan(app, action, artefact);
}

}  // namespace neuros::cli
