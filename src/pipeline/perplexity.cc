#include "pipeline/perplexity.h"

#include "pipeline/answer.h"

#include <cmath>
#include <deque>
#include <memory>

namespace neuros::pipeline {
namespace {

constexpr size_t kChunksInFlight = 4;

/// Sums of the scored tokens' negative log-likelihoods.
struct Tally {
  double sum = 0.0, squares = 0.0;
  int64_t count = 0;

  void add(double loss) {
    sum += loss;
    squares += loss * loss;
    ++count;
  }
  double perplexity() const { return std::exp(sum / static_cast<double>(count)); }
  double error() const {
    const double n = static_cast<double>(count);
    const double variance = squares / n - (sum / n) * (sum / n);
    return variance > 0.0 && count > 1 ? std::sqrt(variance / (n - 1.0)) * perplexity() : 0.0;
  }
};

base::Result<> score(AnswerCollector& collector, int32_t context, Tally& tally) {
  const Answer answer = TRY(collector.wait());
  for (size_t i = static_cast<size_t>(context / 2) + 1; i < answer.prompt.size(); ++i) {
    tally.add(-static_cast<double>(answer.prompt[i].logprob.value_or(0.0f)));
  }
  return {};
}

}  // namespace

base::Result<Perplexity> measure_perplexity(LanguageModel& model, std::string_view text,
                                            int32_t context,
                                            const std::function<void(double)>& on_progress) {
  if (context < 4 || context > model.context()) {
    return base::fail("perplexity: context " + std::to_string(context) + ", expected 4 to " +
                      std::to_string(model.context()));
  }
  const text::Vocabulary& vocabulary = model.tokenizer().vocabulary();
  const std::vector<int32_t> ids =
      model.tokenizer().encode(text, {.add_special = true, .parse_special = false});
  const size_t chunks = ids.size() / static_cast<size_t>(context);
  if (chunks < 1) {
    return base::fail("perplexity: the text has " + std::to_string(ids.size()) +
                      " tokens, one chunk needs " + std::to_string(context));
  }
  Perplexity result;
  Tally tally;
  std::deque<std::shared_ptr<AnswerCollector>> in_flight;
  for (size_t chunk = 0; chunk < chunks || !in_flight.empty();) {
    if (chunk < chunks && in_flight.size() < kChunksInFlight) {
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(chunk) * context;
      GenerationRequest request;
      request.prompt.assign(first, first + context);
      if (vocabulary.add_bos && vocabulary.bos) request.prompt.front() = *vocabulary.bos;
      request.prompt_logprobs = 0;
      in_flight.push_back(std::make_shared<AnswerCollector>());
      TRY(model.generate(std::move(request), in_flight.back()));
      ++chunk;
      continue;
    }
    TRY(score(*in_flight.front(), context, tally));
    in_flight.pop_front();
    result.by_chunk.push_back(tally.perplexity());
    if (on_progress) {
      on_progress(static_cast<double>(result.by_chunk.size()) / static_cast<double>(chunks));
    }
  }
  result.value = tally.perplexity();
  result.error = tally.error();
  result.tokens_scored = tally.count;
  return result;
}

}  // namespace neuros::pipeline
