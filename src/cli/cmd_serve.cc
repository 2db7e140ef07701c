#include "cli/boot_report.h"
#include "cli/command.h"
#include "cli/model_flags.h"
#include "cli/serving.h"
#include "pipeline/model_fleet.h"
#include "pipeline/pipeline_app.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct ServeFlags {
  ModelFlags model;
  std::vector<std::string> models;  ///< FILE or NAME=FILE
  ServingFlags serving;
  std::string name;
};

/// "NAME=FILE" names a model; a file whose name has a "=" can be given as ./FILE or named.
pipeline::FleetModelOptions parse_model(const std::string& text) {
  const size_t equals = text.find('=');
  const bool named = equals != text.npos && equals > 0 && text.find('/') > equals;
  if (!named) return {.path = text, .name = ""};
  return {.path = text.substr(equals + 1), .name = text.substr(0, equals)};
}

base::Result<pipeline::ModelOptions> options_of(const ServeFlags& flags, const BootReport& report) {
  pipeline::ModelOptions options = TRY(flags.model.resolve_with_progress());
  options.queue_max = flags.serving.queue;
  options.trace = flags.serving.trace;
  options.boot = flags.serving.boot.mode;
  options.on_model_boot = report.listener();
  return options;
}

base::Result<std::unique_ptr<pipeline::ModelFleet>> open_fleet(const ServeFlags& flags,
                                                               const BootReport& report) {
  std::vector<pipeline::FleetModelOptions> models;
  for (const std::string& text : flags.models) models.push_back(parse_model(text));
  if (!flags.name.empty()) {
    if (models.size() > 1) return base::fail("--name is for one model; use NAME=FILE");
    models.front().name = flags.name;
  }
  pipeline::ModelOptions options = TRY(options_of(flags, report));
  return pipeline::ModelFleet::open(models, std::move(options));
}

base::Result<std::unique_ptr<pipeline::PipelineApp>> open_pipeline(const ServeFlags& flags,
                                                                   const BootReport& report) {
  const std::string& path = flags.models.front();
  if (flags.models.size() > 1) {
    return base::fail(path + ": a pipeline is served alone; its models belong into its file");
  }
  if (!flags.name.empty()) {
    return base::fail("--name is for a model; the name of a pipeline is in its file");
  }
  pipeline::ModelOptions options = TRY(options_of(flags, report));
  return pipeline::PipelineApp::open(path, std::move(options));
}

bool names_pipeline(const ServeFlags& flags) {
  return std::any_of(flags.models.begin(), flags.models.end(), pipeline::is_pipeline_file);
}

base::Result<> run_serve(const ServeFlags& flags) {
  BootReport report(BootReport::Scope::kAll);
  if (names_pipeline(flags)) {
    const auto app = TRY(open_pipeline(flags, report));
    report.set_count(app->fleet().models().size());
    return serve_pipeline(*app, flags.serving);
  }
  const auto fleet = TRY(open_fleet(flags, report));
  report.set_count(fleet->models().size());
  return serve_fleet(*fleet, flags.serving);
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "the OpenAI API for models and pipelines");
  command
      ->add_option("MODEL", flags->models,
                   "GGUF files or Hugging Face directories, NAME=FILE gives an id; or one pipeline "
                   "specification (*.yaml)")
      ->required();
  flags->model.declare_options(*command);
  flags->serving.declare(*command);
  command->add_option("--name", flags->name, "id of the model in the API");
  command->callback([flags, &action] { action = [flags] { return run_serve(*flags); }; });
}

}  // namespace neuros::cli
