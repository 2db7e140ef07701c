#include "pipeline/fixed_tokens.h"

#include <memory>
#include <utility>

namespace neuros::pipeline {

runtime::NextToken FixedTokens::next() {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  return {.id = static_cast<int32_t>((state_ >> 33) % vocabulary_)};
}

void FixedTokens::on_end(const runtime::ProcessEnd& end) {
  const std::lock_guard lock(mutex_);
  end_ = end;
  done_ = true;
  ended_.notify_all();
}

base::Result<runtime::ProcessEnd> FixedTokens::wait() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return done_; });
  if (end_.reason == runtime::EndReason::kFailed) return base::fail(end_.error);
  return end_;
}

std::vector<int32_t> random_prompt(std::mt19937_64& random, int32_t tokens, int64_t vocabulary) {
  std::vector<int32_t> prompt(static_cast<size_t>(tokens));
  for (int32_t& id : prompt) {
    id = static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary));
  }
  return prompt;
}

base::Result<runtime::ProcessEnd> run_fixed(runtime::Engine& engine, std::vector<int32_t> prompt,
                                            int32_t new_tokens) {
  auto client = std::make_shared<FixedTokens>(engine.plan().program.vocabulary);
  runtime::ProcessSpec spec;
  spec.prompt = std::move(prompt);
  spec.max_new_tokens = new_tokens;
  spec.client = client;
  TRY(engine.submit(std::move(spec)));
  return client->wait();
}

}  // namespace neuros::pipeline
