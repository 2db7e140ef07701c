/// The whole path against outside references in ../shared/data.

#include "base/mapped_file.h"
#include "pipeline/golden.h"
#include "pipeline/language_model.h"
#include "pipeline/perplexity.h"

#include <string>

#include <gtest/gtest.h>

namespace {

using namespace neuros;

const std::string kData = NEUROS_SOURCE_DIR "/../shared/data/";
const std::string kModel = kData + "models/stories260K.gguf";

std::unique_ptr<pipeline::LanguageModel> open_model(const std::string& path,
                                                    pipeline::ModelOptions options) {
  auto model = pipeline::LanguageModel::open(path, std::move(options));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return model.has_value() ? std::move(*model) : nullptr;
}

std::vector<pipeline::GoldenCase> golden_cases() {
  const auto text = base::read_text_file(kData + "golden/stories260K.json");
  return text ? *pipeline::parse_golden(*text) : std::vector<pipeline::GoldenCase>{};
}

void expect_golden(const std::string& op_table, double tie_margin, double difference_max) {
  const auto cases = golden_cases();
  if (cases.empty()) GTEST_SKIP() << "reference data is absent: " << kData;
  pipeline::ModelOptions options;
  options.op_table = op_table;
  const auto model = open_model(kModel, options);
  ASSERT_NE(model, nullptr);
  for (const pipeline::GoldenCase& golden : cases) {
    const auto outcome = pipeline::run_golden(*model, golden);
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    EXPECT_TRUE(outcome->passed_or_tied(tie_margin))
        << golden.prompt << ": " << outcome->ids_equal << " ids";
    EXPECT_LT(outcome->logprob_difference_max, difference_max) << golden.prompt;
  }
}

TEST(Golden, LlamaCppArithmeticGivesEveryIdAndProbability) {
  expect_golden(pipeline::kLlamaCppOps, 0.0, 0.01);
}

TEST(Golden, ServingKernelsPartOnlyAtTies) {
  expect_golden("", 0.02, 0.03);
}

TEST(Golden, ReferenceTablePartsOnlyAtTies) {
  expect_golden("ref", 0.02, 0.03);
}

TEST(Perplexity, AgreesWithTheReference) {
  constexpr double kReference = 6.0256;  // llama.cpp, the same chunks; ../shared/data/README.md
  const auto text = base::read_text_file(kData + "text/tinystories_197k.txt");
  if (!text) GTEST_SKIP() << "reference data is absent: " << kData;
  const auto model = open_model(kModel, {});
  ASSERT_NE(model, nullptr);
  const auto result = pipeline::measure_perplexity(*model, *text, 128, {});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_NEAR(result->value, kReference, kReference * 0.001);
}

TEST(Assistant, AnswersItsExam) {
  const auto text = base::read_text_file(NEUROS_SOURCE_DIR "/zoo/assistant/heldout.json");
  ASSERT_TRUE(text.has_value()) << text.error().message;
  const auto questions = pipeline::parse_quiz(*text);
  ASSERT_TRUE(questions.has_value()) << questions.error().message;
  const auto model = open_model(NEUROS_SOURCE_DIR "/zoo/assistant/assistant.gguf", {});
  ASSERT_NE(model, nullptr);
  size_t right = 0;
  for (const pipeline::QuizQuestion& question : *questions) {
    const auto answer = pipeline::answer_quiz(*model, question);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    right += pipeline::accepts(question, *answer) ? 1 : 0;
  }
  EXPECT_GE(right * 10, questions->size() * 9) << right << " of " << questions->size();
}

}  // namespace
