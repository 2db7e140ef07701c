#pragma once

#include "pipeline/language_model.h"
#include "pipeline/stop_matcher.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// One answer in the making: chooses tokens for the engine, turns them into text, watches for
/// stops, and hands both to the sink.
class Generation final : public runtime::ProcessClient {
 public:
  Generation(GenerationRequest request, std::shared_ptr<const text::Tokenizer> tokenizer,
             std::shared_ptr<GenerationSink> sink);

  void on_prompt_logits(int32_t position, std::span<const float> logits) override;
  std::optional<runtime::NextToken> on_top_logits(const kernels::TopLogits& top) override;
  runtime::NextToken on_logits(std::span<float> logits) override;
  void on_end(const runtime::ProcessEnd& end) override;

 private:
  bool ends_answer(int32_t id) const;
  TokenInfo describe(int32_t id, std::span<const float> logits, int32_t alternatives) const;
  TokenInfo describe(int32_t id, const kernels::TopLogits& logits) const;
  runtime::NextToken accept(TokenInfo token);
  void emit(std::string text);

  GenerationRequest request_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<GenerationSink> sink_;
  Sampler sampler_;
  text::StreamDecoder decoder_;
  StopMatcher stops_;
  std::vector<TokenInfo> prompt_infos_;
  std::vector<TokenInfo> pending_;  ///< tokens whose text is still held back
  int32_t tokens_ = 0;
  bool stopped_ = false;
};

}  // namespace neuros::pipeline
