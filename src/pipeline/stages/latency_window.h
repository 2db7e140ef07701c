#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>

namespace neuros::pipeline {

/// Times of the last minute, the latest 1024 of them. Thread-safe.
class LatencyWindow {
 public:
  using Clock = std::chrono::steady_clock;

  void add(int64_t us, Clock::time_point now = Clock::now());
  /// Of an even number of times the greater of the two in the middle; 0 if there are none.
  int64_t median_us(Clock::time_point now = Clock::now()) const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::pair<Clock::time_point, int64_t>> times_;  ///< oldest first; guarded by mutex_
};

}  // namespace neuros::pipeline
