#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace neuros::pipeline {

/// Tasks waiting for a thread. Thread-safe; whoever posts may hold it longer than its threads live.
class TaskQueue {
 public:
  using Task = std::function<void()>;

  void post(Task task);
  /// Waits for a task and runs it. False: closed and empty.
  bool run_next();
  /// Tasks that were posted before still run; later ones are dropped.
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;  ///< guarded by mutex_
  bool closed_ = false;     ///< the same
};

/// So many threads on one queue; with one, tasks run one after the other in the order of posting.
class TaskThreads {
 public:
  explicit TaskThreads(int threads);
  /// Runs what was posted and joins.
  ~TaskThreads();
  TaskThreads(const TaskThreads&) = delete;
  TaskThreads& operator=(const TaskThreads&) = delete;

  const std::shared_ptr<TaskQueue>& queue() const { return queue_; }

 private:
  std::shared_ptr<TaskQueue> queue_ = std::make_shared<TaskQueue>();
  std::vector<std::thread> threads_;
};

}  // namespace neuros::pipeline
