#pragma once

/// A sink for tests that waits for the end of a pipeline's answer.

#include "pipeline/stages/pipeline_request.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace neuros::pipeline::testing {

class RecordingSink final : public PipelineSink {
 public:
  void on_start() override {
    const std::lock_guard lock(mutex_);
    started_ = true;
  }
  void on_text(PipelineText text) override {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(text.content));
    changed_.notify_all();
  }
  void on_end(PipelineEnd end) override {
    const std::lock_guard lock(mutex_);
    ends_ += 1;
    end_ = std::move(end);
    changed_.notify_all();
  }

  const PipelineEnd& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return end_.has_value(); });
    return *end_;
  }
  void wait_for_pieces(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pieces_.size() >= count; });
  }
  std::vector<std::string> pieces() const {
    const std::lock_guard lock(mutex_);
    return pieces_;
  }
  std::string text() const {
    std::string all;
    for (const std::string& piece : pieces()) all += piece;
    return all;
  }
  bool started() const {
    const std::lock_guard lock(mutex_);
    return started_;
  }
  int ends() const {
    const std::lock_guard lock(mutex_);
    return ends_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> pieces_;  ///< guarded by mutex_, as all below
  std::optional<PipelineEnd> end_;
  bool started_ = false;
  int ends_ = 0;
};

}  // namespace neuros::pipeline::testing
