#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace neuros::base {
namespace {

TEST(ThreadPool, EveryWorkerRunsOnceAJob) {
  ThreadPool pool({.threads = 3, .cpus = {}, .spin_us = 5});
  std::vector<int> calls(3, 0);
  for (int round = 0; round < 1000; ++round) {
    pool.run([&](int worker) { ++calls[static_cast<size_t>(worker)]; });
  }
  EXPECT_EQ(calls, (std::vector<int>{1000, 1000, 1000}));
}

TEST(ThreadPool, ParallelForCoversEachIndexOnce) {
  ThreadPool pool({.threads = 2, .cpus = {}, .spin_us = 5});
  for (int64_t count : {0, 1, 7, 64, 1000}) {
    std::vector<int> seen(static_cast<size_t>(count), 0);
    pool.parallel_for(count, 3, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    for (int times : seen) EXPECT_EQ(times, 1);
  }
}

}  // namespace
}  // namespace neuros::base
