#pragma once

#include "base/result.h"
#include "cli/boot_flags.h"
#include "pipeline/model_fleet.h"
#include "pipeline/pipeline_app.h"
#include "serve/server.h"

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace neuros::cli {

/// The flags of a server, whatever it serves.
struct ServingFlags {
  serve::ServerOptions server;
  int32_t queue = 256;  ///< requests that wait, of each model
  BootFlags boot;
  std::string trace;

  void declare(CLI::App& app);
};

/// Serves models that are up, or some of them, until a signal ends it.
base::Result<> serve_fleet(pipeline::ModelFleet& fleet, const ServingFlags& flags);
/// The same with the pipeline and the routes over them.
base::Result<> serve_pipeline(pipeline::PipelineApp& app, const ServingFlags& flags);

}  // namespace neuros::cli
