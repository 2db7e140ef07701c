#include "base/check.h"
#include "base/mapped_file.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/stage_graph.h"
#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/model_flags.h"
#include "device/shipped_profiles.h"
#include "pipeline/artefact_builder.h"
#include "pipeline/pipeline_app.h"
#include "pipeline/spec_fleet.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct BuildFlags {
  ModelFlags model;
  std::string output;
  std::string weights = "embed";
  std::string profile;
  bool json = false;
};

base::Result<> read_pipeline(const std::string& path, pipeline::ArtefactRequest& request) {
  const builder::PipelineSpec spec = TRY(builder::load_pipeline(path));
  const auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "load_pipeline has checked the stages");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  TRY(pipeline::check_tools(spec, folder));
  request.specification = TRY(base::read_text_file(path));
  request.models = TRY(pipeline::fleet_models(spec, folder));
  request.wishes = pipeline::fleet_wishes(spec, *graph);
  request.options = pipeline::fleet_options(spec, std::move(request.options));
  return {};
}

/// A specification for a model that was given as a file.
void make_pipeline(const std::string& path, pipeline::ArtefactRequest& request) {
  builder::PipelineSpec spec;
  builder::ModelSpec& model = spec.models.emplace_back();
  model.id = "model";
  model.file = path;
  request.specification = builder::to_yaml(spec);
  request.models.push_back({.path = path, .name = ""});
}

void print_report(const BuildFlags& flags, const pipeline::ArtefactReport& report) {
  if (flags.json) {
    const nlohmann::ordered_json json{{"file", flags.output},
                                      {"bytes", report.file_bytes},
                                      {"weights_file", report.weights_file},
                                      {"weights_bytes", report.weights_bytes},
                                      {"models", report.plan.models.size()}};
    std::cout << json.dump() << "\n";
    return;
  }
  std::printf("%s: %.1f MiB, %zu models, %.1f MiB of weights%s%s\n", flags.output.c_str(),
              static_cast<double>(report.file_bytes) / (1 << 20), report.plan.models.size(),
              static_cast<double>(report.weights_bytes) / (1 << 20),
              report.weights_file.empty() ? "" : " in ", report.weights_file.c_str());
}

base::Result<> build(const BuildFlags& flags) {
  pipeline::ArtefactRequest request;
  request.output = flags.output;
  request.options = TRY(flags.model.resolve_with_progress());
  if (!flags.profile.empty())
    request.options.planned_for = TRY(device::open_profile(flags.profile));
  if (flags.weights == "split") request.weights = pipeline::ArtefactWeights::kBeside;
  if (pipeline::is_pipeline_file(flags.model.path)) {
    TRY(read_pipeline(flags.model.path, request));
  } else {
    make_pipeline(flags.model.path, request);
  }
  const pipeline::ArtefactReport report = TRY(pipeline::build_artefact(request));
  print_report(flags, report);
  return {};
}

}  // namespace

void add_build(CLI::App& app, Action& action) {
  auto flags = std::make_shared<BuildFlags>();
  CLI::App* command =
      app.add_subcommand("build", "plan, packed weights and this program in one executable");
  command
      ->add_option("TARGET", flags->model.path,
                   "pipeline.yaml, GGUF file or Hugging Face directory")
      ->required();
  command->add_option("-o,--output", flags->output, "executable to write")->required();
  command
      ->add_option("--weights", flags->weights, "embed: inside; split: in OUTPUT.weights beside it")
      ->check(CLI::IsMember({"embed", "split"}))
      ->capture_default_str();
  command->add_option("--profile", flags->profile,
                      "for another machine: a file of neuros profile, or a card by name");
  flags->model.declare_options(*command);
  command->add_flag("--json", flags->json, "for machines");
  command->footer(
      "Example: neuros build pipeline.yaml -o app; ./app serve\n"
      "         neuros build model.gguf --weights split -o app; ./app run -p Hello");
  command->callback([flags, &action] { action = [flags] { return build(*flags); }; });
}

}  // namespace neuros::cli
