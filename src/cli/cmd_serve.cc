#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "pipeline/model_fleet.h"
#include "serve/fleet_backend.h"
#include "serve/server.h"

#include <cstdio>
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

void report(pipeline::ModelFleet& fleet, const std::string& url) {
  for (const auto& model : fleet.models()) {
    std::printf("%s listening on %s\n", model->id().c_str(), url.c_str());
  }
  std::fflush(stdout);
  for (const auto& model : fleet.models()) {
    tell_of_cache(model->load_report());
    std::fprintf(stderr, "%s\n", load_report(model->load_report()).c_str());
  }
}

void report_memory(const pipeline::ModelFleet& fleet) {
  const std::string line = memory_report(fleet.plan().memory, base::process_memory());
  std::fprintf(stderr, "%s, %s\n", line.c_str(), map_report(fleet.plan()).c_str());
}

base::Result<> run_serve(ServeFlags flags) {
  const auto fleet = TRY(open_fleet(flags));
  const serve::FleetBackend backend(*fleet);
  flags.server.handle_signals = true;
  const auto server = TRY(serve::Server::create(backend, flags.server));
  report(*fleet, server->url());
  report_memory(*fleet);
  server->run();
  for (const auto& model : fleet->models()) model->drain();
  report_memory(*fleet);
  return {};
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "the OpenAI API for models");
  command
      ->add_option("MODEL", flags->models,
                   "GGUF files or Hugging Face directories; NAME=FILE gives an id")
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
  command->footer("Example: neuros serve small.gguf big=large.gguf --memory 24GB --port 8080");
  command->callback([flags, &action] { action = [flags] { return run_serve(*flags); }; });
}

}  // namespace neuros::cli
