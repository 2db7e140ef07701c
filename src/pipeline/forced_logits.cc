#include "pipeline/forced_logits.h"

#include <future>
#include <memory>
#include <span>

namespace neuros::pipeline {
namespace {

using Rows = std::vector<std::vector<float>>;

/// Keeps the logits and takes the next of `ids`, whatever they say.
class ForcedTokens final : public runtime::ProcessClient {
 public:
  explicit ForcedTokens(std::vector<int32_t> ids) : ids_(std::move(ids)) {}

  void on_prompt_logits(int32_t, std::span<const float> logits) override { keep(logits); }
  runtime::NextToken on_logits(std::span<float> logits) override {
    if (asked_) keep(logits);  // the prompt's last row has come before
    asked_ = true;
    if (rows_.size() == ids_.size()) return {.id = 0, .stop = true};
    return {.id = ids_[rows_.size()], .stop = false};
  }
  void on_end(const runtime::ProcessEnd& end) override { ended_.set_value(end); }

  base::Result<Rows> wait() {
    const runtime::ProcessEnd end = ended_.get_future().get();
    if (end.reason == runtime::EndReason::kFailed) return base::fail(end.error);
    return std::move(rows_);
  }

 private:
  void keep(std::span<const float> logits) { rows_.emplace_back(logits.begin(), logits.end()); }

  std::vector<int32_t> ids_;
  Rows rows_;
  bool asked_ = false;
  std::promise<runtime::ProcessEnd> ended_;
};

}  // namespace

base::Result<Rows> forced_logits(runtime::Engine& engine, const std::vector<int32_t>& ids,
                                 int32_t prompt_tokens) {
  const auto count = static_cast<int32_t>(ids.size());
  if (prompt_tokens < 1 || prompt_tokens > count) {
    return base::fail("logits: a prompt of " + std::to_string(prompt_tokens) +
                      " tokens, expected 1 to " + std::to_string(count));
  }
  auto client = std::make_shared<ForcedTokens>(ids);
  runtime::ProcessSpec spec;
  spec.prompt.assign(ids.begin(), ids.begin() + prompt_tokens);
  spec.max_new_tokens = prompt_tokens == count ? 0 : count - prompt_tokens + 1;
  spec.prompt_logits = true;
  spec.client = client;
  TRY(engine.submit(std::move(spec)));
  return client->wait();
}

}  // namespace neuros::pipeline
