#include "pipeline/golden.h"

#include "pipeline/answer.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using Json = nlohmann::ordered_json;

GoldenCase read_case(const Json& json) {
  GoldenCase golden;
  golden.prompt = json.at("prompt").get<std::string>();
  golden.prompt_ids = json.at("prompt_ids").get<std::vector<int32_t>>();
  golden.ids = json.at("ids").get<std::vector<int32_t>>();
  if (!json.contains("top5")) return golden;
  for (const Json& step : json.at("top5")) {
    std::vector<TokenLogprob>& top = golden.top.emplace_back();
    for (const Json& entry : step) {
      top.push_back({entry.at(0).get<int32_t>(), entry.at(1).get<float>()});
    }
  }
  return golden;
}

/// Calls `read` on each element of a JSON list; a wrong shape is an error that says where.
template <typename Read>
auto read_list(const std::string& text, const char* what, Read read)
    -> base::Result<std::vector<decltype(read(Json()))>> {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) return base::fail(std::string(what) + ": expected a JSON list");
  std::vector<decltype(read(Json()))> all;
  for (const Json& element : json) {
    try {
      all.push_back(read(element));
    } catch (const nlohmann::json::exception& error) {
      return base::fail(std::string(what) + ": element " + std::to_string(all.size()) + ": " +
                        error.what());
    }
  }
  return all;
}

float logprob_in(const TokenInfo& token, int32_t id) {
  for (const TokenLogprob& entry : token.top) {
    if (entry.id == id) return entry.logprob;
  }
  return -INFINITY;
}

void compare_step(const std::vector<TokenLogprob>& reference, const TokenInfo& ours,
                  GoldenOutcome& outcome) {
  for (const TokenLogprob& entry : reference) {
    const double difference = std::abs(static_cast<double>(logprob_in(ours, entry.id)) -
                                       static_cast<double>(entry.logprob));
    outcome.logprob_difference_max = std::max(outcome.logprob_difference_max, difference);
  }
}

/// How much more likely the best token was than the second, as a log-probability.
double margin(const std::vector<TokenLogprob>& top) {
  if (top.size() < 2) return std::numeric_limits<double>::infinity();
  return static_cast<double>(top[0].logprob) - static_cast<double>(top[1].logprob);
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
}

bool contains_words(const std::string& text, const std::string& words) {
  for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    const bool starts = at == 0 || !is_word(text[at - 1]) || !is_word(words.front());
    const size_t end = at + words.size();
    const bool ends = end == text.size() || !is_word(text[end]) || !is_word(words.back());
    if (starts && ends) return true;
  }
  return false;
}

}  // namespace

base::Result<std::vector<GoldenCase>> parse_golden(const std::string& json) {
  return read_list(json, "golden", read_case);
}

base::Result<GoldenOutcome> run_golden(LanguageModel& model, const GoldenCase& golden) {
  constexpr int32_t kAlternatives = 32;  // the reference's five may rank a little lower here
  GoldenOutcome outcome;
  outcome.prompt = golden.prompt;
  GenerationRequest request;
  request.prompt = model.tokenizer().encode(golden.prompt);
  outcome.prompt_ids_equal = request.prompt == golden.prompt_ids;
  outcome.ids_total = static_cast<int32_t>(golden.ids.size());
  request.max_tokens = outcome.ids_total;
  request.sampling.temperature = 0.0f;
  request.logprobs = kAlternatives;
  request.ignore_eos = true;
  const Answer answered = TRY(answer(model, std::move(request)));
  for (size_t i = 0; i < std::min(answered.tokens.size(), golden.ids.size()); ++i) {
    if (i < golden.top.size()) compare_step(golden.top[i], answered.tokens[i], outcome);
    if (answered.tokens[i].id != golden.ids[i]) {
      if (i < golden.top.size()) outcome.margin_at_difference = margin(golden.top[i]);
      break;
    }
    ++outcome.ids_equal;
  }
  return outcome;
}

base::Result<std::vector<QuizQuestion>> parse_quiz(const std::string& json) {
  return read_list(json, "quiz", [](const Json& entry) {
    return QuizQuestion{entry.at("skill").get<std::string>(), entry.at("messages").dump(),
                        entry.at("accept").get<std::vector<std::string>>()};
  });
}

bool accepts(const QuizQuestion& question, const std::string& answer) {
  const std::string text = lower(answer);
  return std::any_of(question.accept.begin(), question.accept.end(), [&](const std::string& words) {
    return !words.empty() && contains_words(text, lower(words));
  });
}

base::Result<std::string> answer_quiz(LanguageModel& model, const QuizQuestion& question) {
  constexpr int32_t kAnswerTokensMax = 128;
  const std::string rendered = TRY(model.apply_chat_template(
      {{"messages", Json::parse(question.messages_json)}, {"add_generation_prompt", true}}));
  GenerationRequest request;
  request.prompt = model.encode_chat(rendered);
  request.max_tokens =
      std::min(kAnswerTokensMax, model.context() - static_cast<int32_t>(request.prompt.size()));
  request.sampling.temperature = 0.0f;
  return TRY(answer(model, std::move(request))).text;
}

}  // namespace neuros::pipeline
