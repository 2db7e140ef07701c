#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "pipeline/model_fleet.h"
#include "pipeline/pipeline_app.h"
#include "serve/fleet_backend.h"
#include "serve/pipeline_backend.h"
#include "serve/server.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct ServeFlags {
  ModelFlags model;
  std::vector<std::string> models;  ///< FILE or NAME=FILE
  serve::ServerOptions server;
  std::string name;
  int32_t queue = 256;
  std::string trace;
};

/// "NAME=FILE" names a model; a file whose name has a "=" can be given as ./FILE or named.
pipeline::FleetModelOptions parse_model(const std::string& text) {
  const size_t equals = text.find('=');
  const bool named = equals != text.npos && equals > 0 && text.find('/') > equals;
  if (!named) return {.path = text, .name = ""};
  return {.path = text.substr(equals + 1), .name = text.substr(0, equals)};
}

base::Result<std::unique_ptr<pipeline::ModelFleet>> open_fleet(const ServeFlags& flags) {
  std::vector<pipeline::FleetModelOptions> models;
  for (const std::string& text : flags.models) models.push_back(parse_model(text));
  if (!flags.name.empty()) {
    if (models.size() > 1) return base::fail("--name is for one model; use NAME=FILE");
    models.front().name = flags.name;
  }
  pipeline::ModelOptions options = TRY(flags.model.resolve_with_progress());
  options.queue_max = flags.queue;
  options.trace = flags.trace;
  return pipeline::ModelFleet::open(models, std::move(options));
}

base::Result<std::unique_ptr<pipeline::PipelineApp>> open_pipeline(const ServeFlags& flags) {
  const std::string& path = flags.models.front();
  if (flags.models.size() > 1) {
    return base::fail(path + ": a pipeline is served alone; its models belong into its file");
  }
  if (!flags.name.empty()) {
    return base::fail("--name is for a model; the name of a pipeline is in its file");
  }
  pipeline::ModelOptions options = TRY(flags.model.resolve_with_progress());
  options.queue_max = flags.queue;
  options.trace = flags.trace;
  return pipeline::PipelineApp::open(path, std::move(options));
}

bool names_pipeline(const ServeFlags& flags) {
  return std::any_of(flags.models.begin(), flags.models.end(), pipeline::is_pipeline_file);
}

/// Everything that clients may ask for.
void report_ids(const serve::Backend& backend, const std::string& url) {
  const auto report = [&](const std::string& id) {
    std::printf("%s listening on %s\n", id.c_str(), url.c_str());
  };
  for (const auto& pipeline : backend.pipelines()) report(pipeline->facts().id);
  for (const auto& route : backend.routes()) report(route->id());
  for (const auto& model : backend.models()) report(model->facts().id);
  std::fflush(stdout);
}

void report_loading(const pipeline::ModelFleet& fleet) {
  for (const auto& model : fleet.models()) {
    tell_of_cache(model->load_report());
    std::fprintf(stderr, "%s\n", load_report(model->load_report()).c_str());
  }
}

void report_memory(const pipeline::ModelFleet& fleet) {
  const std::string line = memory_report(fleet.plan().memory, base::process_memory());
  std::fprintf(stderr, "%s, %s\n", line.c_str(), map_report(fleet.plan()).c_str());
}

base::Result<> serve_until_stopped(const ServeFlags& flags, const serve::Backend& backend,
                                   const pipeline::ModelFleet& fleet,
                                   const std::function<void()>& drain) {
  serve::ServerOptions options = flags.server;
  options.handle_signals = true;
  const auto server = TRY(serve::Server::create(backend, options));
  report_ids(backend, server->url());
  report_loading(fleet);
  report_memory(fleet);
  server->run();
  drain();  // what still answers does so through the server
  report_memory(fleet);
  return {};
}

base::Result<> run_serve(const ServeFlags& flags) {
  if (names_pipeline(flags)) {
    const auto app = TRY(open_pipeline(flags));
    return serve_until_stopped(flags, serve::PipelineBackend(*app), app->fleet(),
                               [&] { app->drain(); });
  }
  const auto fleet = TRY(open_fleet(flags));
  return serve_until_stopped(flags, serve::FleetBackend(*fleet), *fleet, [&] {
    for (const auto& model : fleet->models()) model->drain();
  });
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
  command->add_option("--host", flags->server.host, "address to bind")->capture_default_str();
  command->add_option("--port", flags->server.port, "0: any free one")->capture_default_str();
  command->add_option("--name", flags->name, "id of the model in the API");
  command->add_option("--api-key", flags->server.api_keys, "required of clients; may be repeated");
  command->add_option("--cors-origin", flags->server.cors_origin, "web origin that may call");
  command->add_option("--queue", flags->queue, "waiting requests before 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--trace", flags->trace,
                      "file for a trace of passes and weights on their way, for Perfetto");
  command->add_option("--connections", flags->server.connections_max, "open connections at most")
      ->capture_default_str();
  command->footer(
      "Example: neuros serve small.gguf big=large.gguf --memory 24GB --port 8080\n"
      "         neuros serve pipeline.yaml: its name, its routes and its models are ids of the "
      "API");
  command->callback([flags, &action] { action = [flags] { return run_serve(*flags); }; });
}

}  // namespace neuros::cli
