#include "cli/command.h"
#include "formats/checkpoint.h"
#include "formats/describe.h"

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct InspectFlags {
  std::string path;
  bool json = false;
};

base::Result<> run_inspect(const InspectFlags& flags) {
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(flags.path));
  std::cout << (flags.json ? formats::describe_json(checkpoint) : formats::describe(checkpoint))
            << "\n";
  return {};
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand("inspect", "what is inside a GGUF or safetensors file");
  command->add_option("FILE", flags->path, "file or Hugging Face directory")->required();
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros inspect model.gguf");
  command->callback([flags, &action] { action = [flags] { return run_inspect(*flags); }; });
}

}  // namespace neuros::cli
