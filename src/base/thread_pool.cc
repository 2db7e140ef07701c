#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace neuros::base {
namespace {

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);  // a hint: failure is harmless
}

}  // namespace

ThreadPool::ThreadPool(ThreadPoolOptions options)
    : size_(options.threads), spin_us_(options.spin_us) {
  CHECK(size_ >= 1);
  for (int worker = 1; worker < size_; ++worker) {
    const int cpu = options.cpus.empty()
                        ? -1
                        : options.cpus[static_cast<size_t>(worker) % options.cpus.size()];
    threads_.emplace_back([this, worker, cpu] {
      if (cpu >= 0) pin_to(cpu);
      work(worker);
    });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(FunctionRef<void(int)> body) {
  if (size_ == 1) return body(0);
  job_ = &body;
  running_.store(size_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  body(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) != 0; ++spins) {
    pause_cpu();
    if (spins > 20000) std::this_thread::yield();
  }
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              FunctionRef<void(int64_t, int64_t, int)> body) {
  CHECK(grain > 0);
  if (size_ == 1 || count <= grain) {
    if (count > 0) body(0, count, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  run([&](int worker) {
    for (;;) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      body(begin, std::min(begin + grain, count), worker);
    }
  });
}

bool ThreadPool::wait_for_job(uint32_t seen) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(spin_us_);
  while (epoch_.load(std::memory_order_acquire) == seen) {
    for (int i = 0; i < 64 && epoch_.load(std::memory_order_relaxed) == seen; ++i) pause_cpu();
    if (std::chrono::steady_clock::now() > deadline) epoch_.wait(seen, std::memory_order_acquire);
  }
  return !stopping_.load(std::memory_order_relaxed);
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (wait_for_job(seen)) {
    ++seen;
    (*job_)(worker);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace neuros::base
