#include "pipeline/stages/task_threads.h"

#include <utility>

namespace neuros::pipeline {

void TaskQueue::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  changed_.notify_one();
}

bool TaskQueue::run_next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || !tasks_.empty(); });
  if (tasks_.empty()) return false;
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  lock.unlock();
  task();
  return true;
}

void TaskQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

TaskThreads::TaskThreads(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([queue = queue_] {
      while (queue->run_next()) {
      }
    });
  }
}

TaskThreads::~TaskThreads() {
  queue_->close();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace neuros::pipeline
