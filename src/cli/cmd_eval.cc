#include "base/mapped_file.h"
#include "cli/command.h"
#include "cli/model_flags.h"
#include "cli/terminal.h"
#include "pipeline/forced_logits.h"
#include "pipeline/golden.h"
#include "pipeline/perplexity.h"

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  std::string file;
  int32_t context = 512;
  double least = 0.0;
  bool json = false;
};

base::Result<> run_ppl(EvalFlags flags) {
  flags.model.options.context = flags.context;
  const std::string text = TRY(base::read_text_file(flags.file));
  const auto model = TRY(flags.model.open());
  Progress progress;
  const auto result = TRY(pipeline::measure_perplexity(
      *model, text, flags.context, [&](double f) { progress.update("perplexity", f); }));
  progress.clear();
  if (flags.json) {
    const nlohmann::ordered_json json{{"perplexity", result.value},
                                      {"error", result.error},
                                      {"context", flags.context},
                                      {"chunks", result.by_chunk.size()},
                                      {"tokens", result.tokens_scored}};
    std::cout << json.dump() << "\n";
  } else {
    std::printf("perplexity %.4f +/- %.4f  (context %d, %zu chunks, %lld tokens scored)\n",
                result.value, result.error, flags.context, result.by_chunk.size(),
                static_cast<long long>(result.tokens_scored));
  }
  return {};
}

/// Two tokens this close in log-probability may change places by rounding alone.
constexpr double kTieMargin = 0.02;

struct GoldenTally {
  size_t cases = 0;
  int32_t passed = 0, tied = 0, ids = 0, ids_total = 0;
  double difference = 0.0;
};

void print_golden(const pipeline::GoldenOutcome& outcome) {
  const char* verdict = outcome.passed()                     ? "ok"
                        : outcome.passed_or_tied(kTieMargin) ? "tie"
                                                             : "FAIL";
  std::printf("%-4s %3d/%-3d ids  max |dlogprob| %.5f  %s\n", verdict, outcome.ids_equal,
              outcome.ids_total, outcome.logprob_difference_max,
              nlohmann::json(outcome.prompt).dump().c_str());
}

base::Result<GoldenTally> tally_golden(const EvalFlags& flags,
                                       const std::vector<pipeline::GoldenCase>& cases) {
  const auto model = TRY(flags.model.open());
  GoldenTally tally;
  tally.cases = cases.size();
  for (const pipeline::GoldenCase& golden : cases) {
    const auto outcome = TRY(pipeline::run_golden(*model, golden));
    if (!flags.json) print_golden(outcome);
    tally.passed += outcome.passed() ? 1 : 0;
    tally.tied += !outcome.passed() && outcome.passed_or_tied(kTieMargin) ? 1 : 0;
    tally.ids += outcome.ids_equal;
    tally.ids_total += outcome.ids_total;
    tally.difference = std::max(tally.difference, outcome.logprob_difference_max);
  }
  return tally;
}

void print_tally(const GoldenTally& tally, const char* arithmetic) {
  std::printf(
      "%d of %zu prompts, %d of %d ids equal, %d parted at a tie, largest top-5 log-probability "
      "difference %.5f (%s)\n",
      tally.passed, tally.cases, tally.ids, tally.ids_total, tally.tied, tally.difference,
      arithmetic);
}

nlohmann::ordered_json tally_json(const GoldenTally& tally) {
  return {{"passed", tally.passed}, {"tied", tally.tied},
          {"cases", tally.cases},   {"ids_equal", tally.ids},
          {"ids", tally.ids_total}, {"logprob_difference_max", tally.difference}};
}

/// Twice: with the kernels that serve, which may part from the reference where two tokens tie, and
/// with llama.cpp's own arithmetic, where every id must be equal.
base::Result<> run_golden_file(EvalFlags flags) {
  const auto cases = TRY(pipeline::parse_golden(TRY(base::read_text_file(flags.file))));
  const GoldenTally serving = TRY(tally_golden(flags, cases));
  if (!flags.json) print_tally(serving, "kernels that serve");
  flags.model.options.op_table = pipeline::kLlamaCppOps;
  const GoldenTally reference = TRY(tally_golden(flags, cases));
  if (!flags.json) print_tally(reference, "llama.cpp's arithmetic");
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"serving", tally_json(serving)},
                                        {"reference_arithmetic", tally_json(reference)}}
              << "\n";
  }
  const bool serves = serving.passed + serving.tied == static_cast<int32_t>(serving.cases);
  if (!serves || reference.passed != static_cast<int32_t>(reference.cases)) {
    return base::fail("golden: " + std::to_string(reference.passed) + " of " +
                      std::to_string(reference.cases) + " prompts passed");
  }
  return {};
}

struct LogitsFlags {
  ModelFlags model;
  std::vector<int32_t> ids;
  int32_t decode_from = 0;
  bool json = false;
};

base::Result<> run_logits(LogitsFlags flags) {
  const auto count = static_cast<int32_t>(flags.ids.size());
  if (flags.model.options.context == 0) flags.model.options.context = count + 8;
  const auto model = TRY(flags.model.open());
  const int32_t prompt = flags.decode_from > 0 ? flags.decode_from : count;
  const auto rows = TRY(pipeline::forced_logits(model->engine(), flags.ids, prompt));
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"ids", flags.ids}, {"logits", rows}} << "\n";
    return {};
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    std::printf("%6d ->", flags.ids[i]);
    for (const auto& [id, logprob] : pipeline::top_logprobs(rows[i], 5)) {
      std::printf("  %d %.4f", id, static_cast<double>(logprob));
    }
    std::printf("\n");
  }
  return {};
}

struct SkillScore {
  int32_t right = 0, asked = 0;
};

base::Result<> run_quiz(const EvalFlags& flags) {
  const auto questions = TRY(pipeline::parse_quiz(TRY(base::read_text_file(flags.file))));
  if (questions.empty()) return base::fail(flags.file + ": no questions");
  const auto model = TRY(flags.model.open());
  std::map<std::string, SkillScore> skills;
  SkillScore all;
  for (const pipeline::QuizQuestion& question : questions) {
    const std::string answer = TRY(pipeline::answer_quiz(*model, question));
    const int32_t right = pipeline::accepts(question, answer) ? 1 : 0;
    skills[question.skill].right += right;
    ++skills[question.skill].asked;
    all.right += right;
    ++all.asked;
    if (right == 0 && !flags.json) {
      std::printf("wrong (%s): %s -> %s\n", question.skill.c_str(), question.messages_json.c_str(),
                  nlohmann::json(answer)
                      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                      .c_str());
    }
  }
  const double share = static_cast<double>(all.right) / all.asked;
  if (flags.json) {
    nlohmann::ordered_json json{{"right", all.right}, {"asked", all.asked}, {"share", share}};
    for (const auto& [skill, score] : skills) json["skills"][skill] = {score.right, score.asked};
    std::cout << json << "\n";
  } else {
    for (const auto& [skill, score] : skills) {
      std::printf("%-24s %4d of %d\n", skill.c_str(), score.right, score.asked);
    }
    std::printf("%d of %d right, %.1f %%\n", all.right, all.asked, 100.0 * share);
  }
  if (share < flags.least) {
    return base::fail("quiz: " + std::to_string(100.0 * share) + " % right, wanted at least " +
                      std::to_string(100.0 * flags.least) + " %");
  }
  return {};
}

CLI::App* declare(CLI::App& parent, const char* name, const char* what, EvalFlags& flags) {
  CLI::App* command = parent.add_subcommand(name, what);
  flags.model.declare(*command);
  command->add_flag("--json", flags.json, "for machines");
  return command;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  CLI::App* eval = app.add_subcommand("eval", "perplexity, golden prompts, a quiz, logits");
  eval->require_subcommand(1);
  eval->footer("Example: neuros eval ppl model.gguf --text wiki.test.raw --ctx 512");

  auto ppl = std::make_shared<EvalFlags>();
  CLI::App* command = declare(*eval, "ppl", "perplexity by llama.cpp's chunk method", *ppl);
  command->add_option("--text", ppl->file, "text file")->required();
  command->add_option("--ctx", ppl->context, "tokens of a chunk")->capture_default_str();
  command->callback([ppl, &action] { action = [ppl] { return run_ppl(*ppl); }; });

  auto golden = std::make_shared<EvalFlags>();
  command = declare(*eval, "golden", "greedy answers against a reference's", *golden);
  command->add_option("--golden", golden->file, "JSON list of cases")->required();
  command->callback([golden, &action] { action = [golden] { return run_golden_file(*golden); }; });

  auto logits = std::make_shared<LogitsFlags>();
  command = eval->add_subcommand("logits", "logits after each of the given tokens");
  logits->model.declare(*command);
  command->add_option("--ids", logits->ids, "tokens, as in 1,17,5")->delimiter(',')->required();
  command
      ->add_option("--decode-from", logits->decode_from,
                   "tokens from this index on as decode steps; default: none")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", logits->json, "all logits, for machines; else the five likeliest");
  command->callback([logits, &action] { action = [logits] { return run_logits(*logits); }; });

  auto quiz = std::make_shared<EvalFlags>();
  command = declare(*eval, "quiz", "questions with accepted answers", *quiz);
  command->add_option("--questions", quiz->file, "JSON list of questions")->required();
  command->add_option("--least", quiz->least, "fail below this share of right answers");
  command->callback([quiz, &action] { action = [quiz] { return run_quiz(*quiz); }; });
}

}  // namespace neuros::cli
