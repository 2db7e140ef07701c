#pragma once

/// A model for tests of pipelines: it answers by a function, or when the test says so.

#include "base/check.h"
#include "pipeline/stages/stage_model.h"

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace neuros::pipeline::testing {

class FakeStageModel final : public StageModel {
 public:
  /// What is answered to a call, inside start(); empty: the test answers.
  std::function<std::string(const ModelCall&)> answer;
  std::optional<base::Error> start_error;  ///< what start() fails with

  base::Result<uint64_t> start(const ModelCall& call, std::shared_ptr<ModelSink> sink) override {
    if (start_error) return tl::unexpected(*start_error);
    std::unique_lock lock(mutex_);
    const uint64_t id = next_id_++;
    calls_.push_back(call);
    if (!answer) {
      held_[call.prompt] = {id, std::move(sink)};
      changed_.notify_all();
      return id;
    }
    lock.unlock();
    sink->on_text({.content = answer(call), .reasoning = "", .tokens = 1});
    sink->on_end(end_of(call.prompt));
    return id;
  }

  void cancel(uint64_t generation) override {
    std::unique_lock lock(mutex_);
    for (auto& [prompt, held] : held_) {
      if (held.id != generation) continue;
      const std::shared_ptr<ModelSink> sink = std::move(held.sink);
      held_.erase(prompt);
      ++cancelled_;
      lock.unlock();
      GenerationEnd end;
      end.reason = FinishReason::kCancelled;
      sink->on_end(std::move(end));
      return;
    }
  }

  /// Waits until a prompt is being answered.
  void wait_for(const std::string& prompt) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.contains(prompt); });
  }
  void give(const std::string& prompt, std::string text) {
    sink_of(prompt)->on_text({.content = std::move(text), .reasoning = "", .tokens = 1});
  }
  void end(const std::string& prompt, FinishReason reason = FinishReason::kStop,
           const std::string& error = "") {
    const std::shared_ptr<ModelSink> sink = sink_of(prompt);
    {
      const std::lock_guard lock(mutex_);
      held_.erase(prompt);
    }
    GenerationEnd end = end_of(prompt);
    end.reason = reason;
    end.error = error;
    sink->on_end(std::move(end));
  }

  std::vector<ModelCall> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  int cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

 private:
  struct Held {
    uint64_t id = 0;
    std::shared_ptr<ModelSink> sink;
  };

  static GenerationEnd end_of(const std::string& prompt) {
    GenerationEnd end;
    end.prompt_tokens = static_cast<int32_t>(prompt.size());
    end.completion_tokens = 1;
    end.times = {.queue_us = 1, .swap_us = 2, .prefill_us = 3, .decode_us = 4};
    return end;
  }
  std::shared_ptr<ModelSink> sink_of(const std::string& prompt) {
    wait_for(prompt);
    const std::lock_guard lock(mutex_);
    return held_.at(prompt).sink;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Held> held_;  ///< by prompt; guarded by mutex_, as all below
  std::vector<ModelCall> calls_;
  uint64_t next_id_ = 1;
  int cancelled_ = 0;
};

}  // namespace neuros::pipeline::testing
