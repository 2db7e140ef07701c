#include "builder/convert.h"
#include "builder/type_mix.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct ConvertFlags {
  std::string model, output, type = "q8_0";
  int threads = 0;
  bool json = false;
};

base::Result<> run_convert(const ConvertFlags& flags) {
  Progress progress;
  std::vector<std::string> notes;
  builder::ConvertOptions options;
  options.threads = flags.threads;
  options.on_progress = [&](double fraction) { progress.update("convert", fraction); };
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  TRY(builder::convert(flags.model, flags.output, flags.type, options));
  progress.clear();
  const auto bytes = std::filesystem::file_size(flags.output);
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"model", flags.model},
                                        {"file", flags.output},
                                        {"type", flags.type},
                                        {"bytes", bytes},
                                        {"notes", notes}}
              << "\n";
    return {};
  }
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  std::printf("%s: %.1f MB\n", flags.output.c_str(), static_cast<double>(bytes) / 1e6);
  return {};
}

}  // namespace

void add_convert(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command = app.add_subcommand("convert", "a GGUF file of another type from any model");
  command->add_option("MODEL", flags->model, "Hugging Face directory or GGUF file")->required();
  command->add_option("-o,--output", flags->output, "GGUF file to write")->required();
  command->add_option("--type", flags->type, "of the weights")->capture_default_str();
  command->add_option("--threads", flags->threads, "0: one per processor")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", flags->json, "for machines");
  std::string names;
  for (const std::string& name : builder::type_mix_names()) names += " " + name;
  command->footer("Example: neuros convert Qwen3-0.6B -o qwen3.gguf --type q4_k_m\nTypes:" + names);
  command->callback([flags, &action] { action = [flags] { return run_convert(*flags); }; });
}

}  // namespace neuros::cli
