#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace neuros::base {

struct ThreadPoolOptions {
  int threads = 1;          ///< workers in all, the calling thread counted as worker 0
  std::vector<int> cpus;    ///< processor to pin worker i to; empty: not pinned
  int spin_us = 50;         ///< how long an idle worker spins before it sleeps
};

/// A persistent fork-join pool for kernels. Nothing is allocated after construction.
/// One thread at a time may call run(); that thread works along as worker 0.
class ThreadPool {
 public:
  explicit ThreadPool(ThreadPoolOptions options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls body(worker) once on every worker 0..size()-1 and returns when all are done.
  void run(FunctionRef<void(int worker)> body);

  /// Splits [0, count) into chunks of `grain` handed out in order to whoever is free:
  /// body(begin, end, worker).
  void parallel_for(int64_t count, int64_t grain,
                    FunctionRef<void(int64_t begin, int64_t end, int worker)> body);

 private:
  void work(int worker);
  bool wait_for_job(uint32_t seen);

  int size_;
  int spin_us_;
  const FunctionRef<void(int)>* job_ = nullptr;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace neuros::base
