#pragma once

/// A pipeline and a route for tests of serve/: what they answer is scripted.

#include "serve/backend.h"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace neuros::serve {

class FakePipeline final : public ServedPipeline {
 public:
  struct Options {
    std::vector<pipeline::PipelineText> texts{};
    pipeline::PipelineEnd end{};
    std::optional<base::Error> start_error{};  ///< of start() itself
    bool starts = true;                        ///< on_start comes before the rest
    bool holds = false;                        ///< it does not end but by cancel()
  };

  explicit FakePipeline(Options options) : options_(std::move(options)) {
    facts_ = {.id = "flow",
              .created_unix_s = 1'700'000'001,
              .stages = {"draft", "say"},
              .vocabulary_size = 260};
  }

  const PipelineFacts& facts() const override { return facts_; }

  base::Result<uint64_t> start(pipeline::PipelineRequest request, const std::string& context,
                               std::shared_ptr<pipeline::PipelineSink> sink) override {
    last_request = std::move(request);
    last_context = context;
    if (last_request.parameters.sampling) last_request.parameters.sampling({});  // as a model would
    if (options_.start_error) return tl::unexpected(*options_.start_error);
    if (options_.starts) sink->on_start();
    for (const pipeline::PipelineText& text : options_.texts) sink->on_text(text);
    if (options_.holds) {
      held_ = std::move(sink);
    } else {
      sink->on_end(options_.end);
    }
    return 7;
  }
  void cancel(uint64_t request) override {
    cancelled = request;
    if (!held_) return;
    pipeline::PipelineEnd end;
    end.reason = pipeline::FinishReason::kCancelled;
    std::exchange(held_, nullptr)->on_end(std::move(end));
  }

  pipeline::PipelineRequest last_request;
  std::string last_context;
  uint64_t cancelled = 0;

 private:
  Options options_;
  PipelineFacts facts_;
  std::shared_ptr<pipeline::PipelineSink> held_;
};

class FakeRoute final : public ServedRoute {
 public:
  using Pick = std::function<base::Result<std::shared_ptr<ServedModel>>(
      const std::string& prompt, const std::string& context)>;
  explicit FakeRoute(Pick pick) : pick_(std::move(pick)) {}

  const std::string& id() const override { return id_; }
  int64_t created_unix_s() const override { return 1'700'000'002; }
  base::Result<std::shared_ptr<ServedModel>> pick(const std::string& prompt,
                                                  const std::string& context) override {
    return pick_(prompt, context);
  }
  void first_token(int64_t us) override { first_tokens_us.push_back(us); }

  std::vector<int64_t> first_tokens_us;

 private:
  std::string id_ = "best";
  Pick pick_;
};

}  // namespace neuros::serve
