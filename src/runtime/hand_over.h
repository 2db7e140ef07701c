#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace neuros::runtime {

/// Things that one thread hands over to another, in order.
template <typename T>
class HandOver {
 public:
  void put(T thing) {
    {
      const std::lock_guard lock(mutex_);
      things_.push_back(std::move(thing));
    }
    came_.notify_one();
  }
  /// Waits for the next; none: it is closed, and all were taken.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return closed_ || !things_.empty(); });
    if (things_.empty()) return std::nullopt;
    std::optional<T> thing(std::move(things_.front()));
    things_.pop_front();
    return thing;
  }
  /// No more will come.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    came_.notify_all();
  }

 private:
  std::mutex mutex_;  ///< guards all that follows
  std::condition_variable came_;
  std::deque<T> things_;
  bool closed_ = false;
};

}  // namespace neuros::runtime
