#pragma once

/// A writer without a socket: what a handler answered, for tests.

#include "serve/http.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

namespace neuros::serve {

class RecordingWriter final : public ResponseWriter {
 public:
  void send(Response whole) override {
    response = std::move(whole);
    done = true;
  }
  void start_stream(Response head, std::string comment) override {
    response = std::move(head);
    keepalive = std::move(comment);
    streamed = true;
  }
  void write(std::string chunk) override { response.body += chunk; }
  void finish() override { done = true; }
  void on_client_gone(std::function<void()> callback) override { gone = std::move(callback); }
  void post(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    if (dropping_) return;
    tasks_.push_back(std::move(task));
    posted_.notify_one();
  }

  /// Runs posted tasks, waiting for more, until the answer is complete or `until()` holds.
  template <typename Condition>
  void run_until(Condition until) {
    while (!done && !until()) {
      std::unique_lock lock(mutex_);
      if (!posted_.wait_for(lock, std::chrono::seconds(10), [&] { return !tasks_.empty(); })) {
        return;
      }
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }
  void run() {
    run_until([] { return false; });
  }

  /// Nothing posted from now on is kept. Tasks hold the request, which holds this writer.
  void drop_tasks() {
    std::deque<std::function<void()>> dropped;  // destroyed after the lock
    const std::lock_guard lock(mutex_);
    dropping_ = true;
    dropped.swap(tasks_);
  }

  Response response;
  std::string keepalive;
  bool streamed = false, done = false;
  std::function<void()> gone;

 private:
  std::mutex mutex_;
  bool dropping_ = false;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace neuros::serve
