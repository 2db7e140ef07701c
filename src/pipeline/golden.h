#pragma once

#include "base/result.h"
#include "pipeline/language_model.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// A reference answer: greedy ids for a prompt, and the reference's best tokens at each step.
struct GoldenCase {
  std::string prompt;
  std::vector<int32_t> prompt_ids, ids;
  std::vector<std::vector<TokenLogprob>> top;
};

struct GoldenOutcome {
  std::string prompt;
  bool prompt_ids_equal = false;
  int32_t ids_equal = 0, ids_total = 0;  ///< equal up to the first difference
  double logprob_difference_max = 0.0;   ///< over the reference's top tokens of the equal steps
  /// By how much the reference preferred its token where the ids part; infinite if they do not.
  double margin_at_difference = std::numeric_limits<double>::infinity();
  bool passed() const { return prompt_ids_equal && ids_equal == ids_total; }
  /// Passed, or parted where two tokens were equally likely but for rounding.
  bool passed_or_tied(double margin) const {
    return prompt_ids_equal && (ids_equal == ids_total || margin_at_difference < margin);
  }
};

/// Reads the JSON list [{prompt, prompt_ids, ids, top5: [[[id, logprob], ...], ...]}, ...].
base::Result<std::vector<GoldenCase>> parse_golden(const std::string& json);

/// Answers one case greedily and compares.
base::Result<GoldenOutcome> run_golden(LanguageModel& model, const GoldenCase& golden);

/// One question of a quiz: right if the answer holds an accepted text as whole words, ignoring
/// case.
struct QuizQuestion {
  std::string skill;
  std::string messages_json;
  std::vector<std::string> accept;
};
/// Reads the JSON list [{skill, messages, accept: [...]}, ...].
base::Result<std::vector<QuizQuestion>> parse_quiz(const std::string& json);
bool accepts(const QuizQuestion& question, const std::string& answer);
/// The model's greedy answer to the question.
base::Result<std::string> answer_quiz(LanguageModel& model, const QuizQuestion& question);

}  // namespace neuros::pipeline
