#include "cli/command.h"

#include <array>
#include <cstdio>

#include <CLI/CLI.hpp>

namespace {

using namespace neuros::cli;

constexpr std::array<AddCommand, 11> kCommands{add_run,     add_serve,    add_plan,    add_profile,
                                               add_bench,   add_eval,     add_synth,   add_convert,
                                               add_inspect, add_tokenize, add_template};

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Neuros: an inference operating system", "neuros");
  app.set_version_flag("--version", NEUROS_VERSION);
  app.require_subcommand(1);
  app.footer("Example: neuros run model.gguf -p \"Hello\"");
  Action action;
  for (AddCommand add : kCommands) add(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const neuros::base::Result<> result = action();
  if (result.has_value()) return 0;
  std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  return kExitFailed;
}
