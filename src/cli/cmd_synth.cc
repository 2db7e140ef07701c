#include "builder/synth.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct SynthFlags {
  std::string spec, output;
  bool json = false;
};

base::Result<> run_synth(const SynthFlags& flags) {
  Progress progress;
  TRY(builder::synthesise(flags.spec, flags.output,
                          [&](double f) { progress.update("synth", f); }));
  progress.clear();
  const auto bytes = std::filesystem::file_size(flags.output);
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"spec", flags.spec},
                                        {"file", flags.output},
                                        {"bytes", bytes}}
              << "\n";
  } else {
    std::printf("%s: %.1f MB\n", flags.output.c_str(), static_cast<double>(bytes) / 1e6);
  }
  return {};
}

}  // namespace

void add_synth(CLI::App& app, Action& action) {
  auto flags = std::make_shared<SynthFlags>();
  CLI::App* command = app.add_subcommand("synth", "a random-weight model file of a known shape");
  command->add_option("SPEC", flags->spec, "NAME:TYPE, as in llama-1b:q4_k_m")->required();
  command->add_option("-o,--output", flags->output, "GGUF file to write")->required();
  command->add_flag("--json", flags->json, "for machines");
  std::string names;
  for (const std::string& name : builder::synth_names()) names += " " + name;
  command->footer("Example: neuros synth qwen3-0.6b:tq2_0 -o tiny.gguf\nNames:" + names);
  command->callback([flags, &action] { action = [flags] { return run_synth(*flags); }; });
}

}  // namespace neuros::cli
