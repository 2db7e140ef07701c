#include "cli/chat.h"
#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "cli/pipeline_run.h"
#include "cli/sampling_flags.h"
#include "cli/terminal.h"
#include "pipeline/pipeline_app.h"

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct RunFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string prompt, system;
  int32_t max_tokens = 0;
  bool raw = false, json = false, quiet = false, verbose = false, show_plan = false;
};

double per_second(int32_t count, int64_t us) {
  return us > 0 ? 1e6 * count / static_cast<double>(us) : 0.0;
}

void print_times(const pipeline::GenerationEnd& end) {
  const int32_t computed = end.prompt_tokens - end.cached_tokens;
  std::fprintf(stderr,
               "[prompt %d tokens (%d from cache) at %.1f tok/s, answer %d tokens at %.1f tok/s]\n",
               end.prompt_tokens, end.cached_tokens, per_second(computed, end.times.prefill_us),
               end.completion_tokens, per_second(end.completion_tokens - 1, end.times.decode_us));
}

void print_json(const pipeline::Answer& answer, const pipeline::LanguageModel& model) {
  const pipeline::GenerationEnd& end = answer.end;
  const nlohmann::ordered_json json{
      {"text", answer.text},
      {"finish_reason", end.reason == pipeline::FinishReason::kLength ? "length" : "stop"},
      {"prompt_tokens", end.prompt_tokens},
      {"cached_tokens", end.cached_tokens},
      {"completion_tokens", end.completion_tokens},
      {"prompt_tokens_per_s",
       per_second(end.prompt_tokens - end.cached_tokens, end.times.prefill_us)},
      {"tokens_per_s", per_second(end.completion_tokens - 1, end.times.decode_us)},
      {"load", load_report_json(model.load_report())},
      {"memory_bytes", memory_report_json(model.plan().memory, base::process_memory())}};
  std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void print_piece(const std::string& piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

class Session {
 public:
  Session(pipeline::LanguageModel& model, const RunFlags& flags)
      : model_(model), flags_(flags), raw_(flags.raw || !model.has_chat_template()) {
    options_.system = flags.system;
    options_.sampling = flags.sampling.over(model.default_sampling());
    options_.max_tokens = flags.max_tokens;
    chat_ = std::make_unique<Chat>(model, options_);
  }

  base::Result<> one_answer(const std::string& prompt) {
    const auto on_piece = flags_.json ? std::function<void(const std::string&)>() : print_piece;
    const pipeline::Answer answer = raw_ ? TRY(complete(model_, prompt, options_, on_piece))
                                         : TRY(chat_->say(prompt, on_piece));
    if (flags_.json) {
      print_json(answer, model_);
    } else {
      std::printf("\n");
      if (!flags_.quiet) print_times(answer.end);
    }
    return {};
  }

  base::Result<> converse() {
    if (input_is_terminal()) {
      std::fprintf(stderr, "%s. /reset forgets, /quit or Ctrl-D ends.\n", model_.id().c_str());
    }
    for (std::string line; prompt_line(line);) {
      if (line == "/quit" || line == "/exit") break;
      if (line == "/reset") chat_->forget();
      if (line.empty() || line == "/reset") continue;
      TRY(one_answer(line));
    }
    return {};
  }

 private:
  static bool prompt_line(std::string& line) {
    if (input_is_terminal()) std::fprintf(stderr, "> ");
    return static_cast<bool>(std::getline(std::cin, line));
  }

  pipeline::LanguageModel& model_;
  const RunFlags& flags_;
  bool raw_;
  ChatOptions options_;
  std::unique_ptr<Chat> chat_;
};

base::Result<> run_stages(const RunFlags& flags) {
  if (flags.raw || flags.show_plan) {
    return base::fail(flags.model.path + ": --raw and --plan are for a model, not a pipeline",
                      base::ErrorKind::kUnsupported);
  }
  return run_pipeline({.model = flags.model,
                       .sampling = flags.sampling,
                       .prompt = flags.prompt,
                       .system = flags.system,
                       .max_tokens = flags.max_tokens,
                       .json = flags.json,
                       .quiet = flags.quiet,
                       .verbose = flags.verbose});
}

base::Result<> run(const RunFlags& flags) {
  if (pipeline::is_pipeline_file(flags.model.path)) return run_stages(flags);
  const auto model = TRY(flags.model.open());
  if (flags.show_plan) std::cerr << plan::describe(model->plan());
  Session session(*model, flags);
  TRY(flags.prompt.empty() ? session.converse() : session.one_answer(flags.prompt));
  if (flags.json || flags.quiet) return {};
  const std::string report = memory_report(model->plan().memory, base::process_memory());
  std::fprintf(stderr, "[%s]\n[%s, %s]\n", load_report(model->load_report()).c_str(),
               report.c_str(), map_report(model->plan()).c_str());
  return {};
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "one answer, or a chat when no prompt is given");
  flags->model.declare(*command);
  flags->sampling.declare(*command);
  command->add_option("-p,--prompt", flags->prompt, "what to answer");
  command->add_option("--system", flags->system, "the system message");
  command->add_option("-n,--max-tokens", flags->max_tokens, "most tokens of an answer")
      ->check(CLI::Range(0, 1 << 30));
  command->add_flag("--raw", flags->raw, "continue the prompt without the chat template");
  command->add_flag("--json", flags->json, "for machines");
  command->add_flag("-q,--quiet", flags->quiet, "no timing line");
  command->add_flag("-v,--verbose", flags->verbose, "the stages of a pipeline and their times");
  command->add_flag("--plan", flags->show_plan, "print the plan first");
  command->footer(
      "Example: neuros run model.gguf -p \"Once upon a time\" -n 64\n"
      "         neuros run pipeline.yaml -p \"What is new?\" --verbose");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace neuros::cli
