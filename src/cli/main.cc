#include "cli/artefact_commands.h"
#include "cli/command.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>

namespace {

using namespace neuros::cli;

constexpr std::array<AddCommand, 12> kCommands{
    add_run,  add_serve, add_plan,    add_build,   add_profile,  add_bench,
    add_eval, add_synth, add_convert, add_inspect, add_tokenize, add_template};

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int fail(const neuros::base::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  return kExitFailed;
}

std::unique_ptr<CLI::App> declare_neuros(Action& action) {
  auto app = std::make_unique<CLI::App>("Neuros: an inference operating system", "neuros");
  app->footer("Example: neuros run model.gguf -p \"Hello\"");
  for (AddCommand add : kCommands) add(*app, action);
  return app;
}

std::unique_ptr<CLI::App> declare_artefact(const neuros::pipeline::Artefact& artefact,
                                           Action& action) {
  const std::string name = std::filesystem::path(artefact.path()).filename().string();
  auto app = std::make_unique<CLI::App>(name + ": models and Neuros, which runs them", name);
  add_artefact_commands(*app, action, artefact);
  return app;
}

}  // namespace

int main(int argc, char** argv) {
  const auto artefact = own_artefact();
  if (!artefact) return fail(artefact.error());
  Action action;
  const auto app = *artefact ? declare_artefact(**artefact, action) : declare_neuros(action);
  app->set_version_flag("--version", NEUROS_VERSION);
  app->require_subcommand(1);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? 0 : kExitUsage;
  }
  const neuros::base::Result<> result = action();
  return result ? 0 : fail(result.error());
}
