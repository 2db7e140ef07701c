#include "base/mapped_file.h"
#include "cli/command.h"
#include "formats/checkpoint.h"
#include "pipeline/tokenizer_loading.h"
#include "text/chat_template.h"

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct TemplateFlags {
  std::string source, inputs;
  bool json = false;
};

bool is_template_file(const std::string& path) {
  return path.ends_with(".jinja") || path.ends_with(".j2") || path.ends_with(".txt");
}

base::Result<std::string> template_source(const std::string& path) {
  if (is_template_file(path)) return base::read_text_file(path);
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(path));
  const auto tokenizer = TRY(pipeline::load_tokenizer(checkpoint));
  if (tokenizer->vocabulary().chat_template.empty()) {
    return base::fail(path + ": has no chat template", base::ErrorKind::kNotFound);
  }
  return tokenizer->vocabulary().chat_template;
}

base::Result<> run_template(const TemplateFlags& flags) {
  const auto source = TRY(template_source(flags.source));
  const auto chat = TRY(text::ChatTemplate::parse(source));
  const std::string inputs = TRY(base::read_text_file(flags.inputs));
  const auto json = nlohmann::ordered_json::parse(inputs, nullptr, false);
  if (!json.is_object()) return base::fail(flags.inputs + ": expected a JSON object");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string text =
      TRY(chat.render(json, std::chrono::duration_cast<std::chrono::seconds>(now).count()));
  std::cout << (flags.json ? nlohmann::json{{"text", text}}.dump() + "\n" : text);
  return {};
}

}  // namespace

void add_template(CLI::App& app, Action& action) {
  auto flags = std::make_shared<TemplateFlags>();
  CLI::App* command = app.add_subcommand("template", "render a chat template");
  command->add_option("MODEL", flags->source, "model, or a .jinja file")->required();
  command->add_option("INPUTS", flags->inputs, "JSON: messages, tools, add_generation_prompt, ...")
      ->required();
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros template model.gguf conversation.json");
  command->callback([flags, &action] { action = [flags] { return run_template(*flags); }; });
}

}  // namespace neuros::cli
