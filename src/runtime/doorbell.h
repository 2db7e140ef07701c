#pragma once

#include <condition_variable>
#include <mutex>

namespace neuros::runtime {

/// Wakes the engine's thread; rung by whoever has something for it. A ring while nobody waits is
/// kept for the next wait().
class Doorbell {
 public:
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    heard_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  bool rung_ = false;  ///< guarded by mutex_
};

}  // namespace neuros::runtime
