#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "serve/language_model_backend.h"
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
  serve::ServerOptions server;
  std::string name;
  int32_t queue = 256;
};

void report_memory(const pipeline::LanguageModel& model) {
  const std::string report = memory_report(model.plan().memory, base::process_memory());
  std::fprintf(stderr, "%s\n", report.c_str());
}

base::Result<> run_serve(ServeFlags flags) {
  flags.model.options.name = flags.name;
  flags.model.options.queue_max = flags.queue;
  const auto model = TRY(flags.model.open());
  const serve::FixedBackend backend({serve::serve_language_model(*model)});
  flags.server.handle_signals = true;
  const auto server = TRY(serve::Server::create(backend, flags.server));
  std::printf("%s listening on %s\n", model->id().c_str(), server->url().c_str());
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", load_report(model->load_report()).c_str());
  report_memory(*model);
  server->run();
  model->drain();
  report_memory(*model);
  return {};
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "the OpenAI API for a model");
  flags->model.declare(*command);
  command->add_option("--host", flags->server.host, "address to bind")->capture_default_str();
  command->add_option("--port", flags->server.port, "0: any free one")->capture_default_str();
  command->add_option("--name", flags->name, "id of the model in the API");
  command->add_option("--api-key", flags->server.api_keys, "required of clients; may be repeated");
  command->add_option("--cors-origin", flags->server.cors_origin, "web origin that may call");
  command->add_option("--queue", flags->queue, "waiting requests before 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--connections", flags->server.connections_max, "open connections at most")
      ->capture_default_str();
  command->footer("Example: neuros serve model.gguf --port 8080 --api-key secret");
  command->callback([flags, &action] { action = [flags] { return run_serve(*flags); }; });
}

}  // namespace neuros::cli
