#include "base/mapped_file.h"
#include "cli/command.h"
#include "formats/checkpoint.h"
#include "pipeline/tokenizer_loading.h"

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct TokenizeFlags {
  std::string model, text, file;
  bool no_special = false, json = false;
};

base::Result<> run_tokenize(const TokenizeFlags& flags) {
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(flags.model));
  const auto tokenizer = TRY(pipeline::load_tokenizer(checkpoint));
  const std::string text = flags.file.empty() ? flags.text : TRY(base::read_text_file(flags.file));
  const auto ids = tokenizer->encode(
      text, {.add_special = !flags.no_special, .parse_special = !flags.no_special});
  if (flags.json) {
    nlohmann::ordered_json json{
        {"count", ids.size()}, {"ids", ids}, {"pieces", nlohmann::json::array()}};
    for (text::TokenId id : ids) json["pieces"].push_back(tokenizer->piece_bytes(id, true));
    std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return {};
  }
  for (size_t i = 0; i < ids.size(); ++i) std::cout << (i > 0 ? " " : "") << ids[i];
  std::cout << "\n";
  return {};
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "token ids of a text");
  command->add_option("MODEL", flags->model, "file or directory with a vocabulary")->required();
  auto* text = command->add_option("TEXT", flags->text, "what to tokenise");
  command->add_option("--file", flags->file, "read the text from a file")->excludes(text);
  command->add_flag("--no-special", flags->no_special, "no BOS/EOS, control tokens as plain text");
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros tokenize model.gguf \"Hello world\"");
  command->callback([flags, &action] { action = [flags] { return run_tokenize(*flags); }; });
}

}  // namespace neuros::cli
