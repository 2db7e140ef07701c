#include "pipeline/generation.h"

#include <algorithm>
#include <utility>

namespace neuros::pipeline {

Generation::Generation(GenerationRequest request, std::shared_ptr<const text::Tokenizer> tokenizer,
                       std::shared_ptr<GenerationSink> sink)
    : request_(std::move(request)),
      tokenizer_(std::move(tokenizer)),
      sink_(std::move(sink)),
      sampler_(request_.sampling, request_.prompt),
      decoder_(tokenizer_, request_.show_special, text::StreamStart::kContinuation),
      stops_(request_.stop) {}

bool Generation::ends_answer(int32_t id) const {
  if (!request_.ignore_eos && tokenizer_->ends_generation(id)) return true;
  return std::find(request_.stop_tokens.begin(), request_.stop_tokens.end(), id) !=
         request_.stop_tokens.end();
}

TokenInfo Generation::describe(int32_t id, std::span<const float> logits,
                               int32_t alternatives) const {
  TokenInfo token;
  token.id = id;
  token.bytes = tokenizer_->piece_bytes(id, true);
  token.logprob = logprob_of(logits, id);
  token.top = top_logprobs(logits, alternatives);
  return token;
}

/// With the log-probabilities that were asked for; `id` is one of the greatest.
TokenInfo Generation::describe(int32_t id, const kernels::TopLogits& logits) const {
  TokenInfo token;
  token.id = id;
  token.bytes = tokenizer_->piece_bytes(id, true);
  if (!request_.logprobs) return token;
  token.logprob = logprob_of(logits, id);
  token.top = top_logprobs(logits, *request_.logprobs);
  return token;
}

void Generation::on_prompt_logits(int32_t position, std::span<const float> logits) {
  const auto count = static_cast<int32_t>(request_.prompt.size());
  if (position == 0) {
    prompt_infos_.push_back({request_.prompt.front(),
                             tokenizer_->piece_bytes(request_.prompt.front(), true),
                             std::nullopt,
                             {}});
  }
  if (position + 1 < count) {
    prompt_infos_.push_back(describe(request_.prompt[static_cast<size_t>(position) + 1], logits,
                                     request_.prompt_logprobs.value_or(0)));
  } else {
    sink_->on_prompt(std::exchange(prompt_infos_, {}));
  }
}

void Generation::emit(std::string text) {
  if (text.empty() && pending_.empty()) return;
  sink_->on_text(std::move(text), std::exchange(pending_, {}));
}

runtime::NextToken Generation::on_logits(std::span<float> logits) {
  TokenInfo token;
  int32_t id = 0;
  if (request_.logprobs) {
    const std::vector<float> raw(logits.begin(), logits.end());
    id = sampler_.sample(logits);
    token = describe(id, raw, *request_.logprobs);
  } else {
    id = sampler_.sample(logits);
    token.id = id;
    token.bytes = tokenizer_->piece_bytes(id, true);
  }
  return accept(std::move(token));
}

std::optional<runtime::NextToken> Generation::on_top_logits(const kernels::TopLogits& top) {
  if (request_.logprobs.value_or(0) > kernels::kTopLogits) return std::nullopt;
  const std::optional<int32_t> id = sampler_.sample(top);
  if (!id) return std::nullopt;
  return accept(describe(*id, top));
}

/// The next token of the answer, unless it ends the answer.
runtime::NextToken Generation::accept(TokenInfo token) {
  const int32_t id = token.id;
  if (ends_answer(id)) {
    stopped_ = true;
    return {.id = id, .stop = true};
  }
  ++tokens_;
  pending_.push_back(std::move(token));
  std::string text = stops_.push(decoder_.push(id));
  if (!text.empty() || stops_.matched()) emit(std::move(text));
  stopped_ = stops_.matched().has_value();
  return {.id = id, .stop = stopped_};
}

void Generation::on_end(const runtime::ProcessEnd& end) {
  if (end.reason == runtime::EndReason::kFinished || end.reason == runtime::EndReason::kLength) {
    std::string rest = stops_.matched() ? "" : stops_.push(decoder_.finish());
    emit(rest + stops_.finish());
  }
  GenerationEnd done;
  switch (end.reason) {
    case runtime::EndReason::kFinished:
      done.reason = FinishReason::kStop;
      break;
    case runtime::EndReason::kLength:
      done.reason = FinishReason::kLength;
      break;
    case runtime::EndReason::kCancelled:
      done.reason = FinishReason::kCancelled;
      break;
    case runtime::EndReason::kFailed:
      done.reason = FinishReason::kFailed;
      break;
  }
  if (stopped_ && done.reason == FinishReason::kLength) done.reason = FinishReason::kStop;
  done.error = end.error;
  done.stop_text = stops_.matched();
  done.prompt_tokens = end.prompt_tokens;
  done.completion_tokens = tokens_;
  done.cached_tokens = end.cached_tokens;
  done.times = end.times;
  sink_->on_end(std::move(done));
}

}  // namespace neuros::pipeline
