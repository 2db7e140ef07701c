#include "cli/serving.h"

#include "base/function_ref.h"
#include "cli/memory_report.h"
#include "serve/fleet_backend.h"
#include "serve/pipeline_backend.h"

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

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

void report_memory(const pipeline::ModelFleet& fleet) {
  const std::string line = memory_report(fleet.plan(), base::process_memory());
  std::fprintf(stderr, "%s, %s\n", line.c_str(), map_report(fleet.plan()).c_str());
}

base::Result<> serve_until_stopped(const ServingFlags& flags, const serve::Backend& backend,
                                   const pipeline::ModelFleet& fleet,
                                   base::FunctionRef<void()> drain) {
  serve::ServerOptions options = flags.server;
  options.handle_signals = true;
  const auto server = TRY(serve::Server::create(backend, options));
  report_ids(backend, server->url());
  report_memory(fleet);
  server->run();
  drain();  // what still answers does so through the server
  report_memory(fleet);
  return {};
}

}  // namespace

void ServingFlags::declare(CLI::App& app) {
  app.add_option("--host", server.host, "address to bind")->capture_default_str();
  app.add_option("--port", server.port, "0: any free one")->capture_default_str();
  app.add_option("--api-key", server.api_keys, "required of clients; may be repeated");
  app.add_option("--cors-origin", server.cors_origin, "web origin that may call");
  app.add_option("--queue", queue, "waiting requests before 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  boot.declare(app);
  app.add_option("--connections", server.connections_max, "open connections at most")
      ->capture_default_str();
  app.add_option("--trace", trace,
                 "file for a trace of passes and weights on their way, for Perfetto");
}

base::Result<> serve_fleet(pipeline::ModelFleet& fleet, const ServingFlags& flags) {
  return serve_until_stopped(flags, serve::FleetBackend(fleet), fleet, [&] {
    for (const auto& model : fleet.models()) model->drain();
  });
}

base::Result<> serve_pipeline(pipeline::PipelineApp& app, const ServingFlags& flags) {
  return serve_until_stopped(flags, serve::PipelineBackend(app), app.fleet(), [&] { app.drain(); });
}

}  // namespace neuros::cli
