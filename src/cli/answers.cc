#include "cli/answers.h"

#include "cli/chat.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/terminal.h"

#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

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

void print_json(const pipeline::Answer& answer, const pipeline::LanguageModel& model,
                const plan::FleetPlan& fleet) {
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
      {"memory_bytes", memory_report_json(fleet, base::process_memory())}};
  std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void print_piece(const std::string& piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

class Session {
 public:
  Session(pipeline::LanguageModel& model, const plan::FleetPlan& fleet, const AnswerFlags& flags)
      : model_(model), fleet_(fleet), flags_(flags), raw_(flags.raw || !model.has_chat_template()) {
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
      print_json(answer, model_, fleet_);
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
  const plan::FleetPlan& fleet_;
  const AnswerFlags& flags_;
  bool raw_;
  ChatOptions options_;
  std::unique_ptr<Chat> chat_;
};

}  // namespace

void AnswerFlags::declare(CLI::App& app) {
  sampling.declare(app);
  app.add_option("-p,--prompt", prompt, "what to answer");
  app.add_option("--system", system, "the system message");
  app.add_option("-n,--max-tokens", max_tokens, "most tokens of an answer")
      ->check(CLI::Range(0, 1 << 30));
  app.add_flag("--raw", raw, "continue the prompt without the chat template");
  app.add_flag("--json", json, "for machines");
  app.add_flag("-q,--quiet", quiet, "no timing line");
}

base::Result<> answer_user(pipeline::LanguageModel& model, const plan::FleetPlan& fleet,
                           const AnswerFlags& flags) {
  Session session(model, fleet, flags);
  TRY(flags.prompt.empty() ? session.converse() : session.one_answer(flags.prompt));
  if (flags.json || flags.quiet) return {};
  const std::string report = memory_report(fleet, base::process_memory());
  std::fprintf(stderr, "[%s]\n[%s, %s]\n", load_report(model.load_report()).c_str(), report.c_str(),
               map_report(fleet).c_str());
  return {};
}

}  // namespace neuros::cli
