#include "base/part_pipeline.h"

#include <algorithm>
#include <utility>

namespace neuros::base {

PartPipeline::PartPipeline(size_t parts, int threads, Move move)
    : parts_(parts), move_(std::move(move)), moved_(parts, false) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

PartPipeline::~PartPipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  allowed_more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<> PartPipeline::wait_for(size_t part) {
  std::unique_lock lock(mutex_);
  moved_one_.wait(lock, [&] { return error_ || moved_[part]; });
  if (error_) return tl::unexpected(*error_);
  return {};
}

void PartPipeline::allow(size_t count) {
  {
    const std::lock_guard lock(mutex_);
    allowed_ = std::max(allowed_, std::min(count, parts_));
  }
  allowed_more_.notify_all();
}

void PartPipeline::work() {
  while (const std::optional<size_t> part = claim()) done(*part, move_(*part));
}

std::optional<size_t> PartPipeline::claim() {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return stopping_ || error_ || next_ == parts_; };
  allowed_more_.wait(lock, [&] { return over() || next_ < allowed_; });
  if (over()) return std::nullopt;
  return next_++;
}

void PartPipeline::done(size_t part, Result<> result) {
  {
    const std::lock_guard lock(mutex_);
    moved_[part] = true;
    if (!result && !error_) error_ = std::move(result).error();
  }
  moved_one_.notify_all();
  allowed_more_.notify_all();
}

int disk_threads() {
  constexpr int kLeast = 4, kMost = 8;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), kLeast, kMost);
}

}  // namespace neuros::base
