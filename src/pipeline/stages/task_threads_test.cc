#include "pipeline/stages/task_threads.h"

#include <atomic>
#include <latch>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

TEST(TaskThreads, OneThreadRunsTasksInOrder) {
  std::vector<int> order;
  {
    TaskThreads threads(1);
    for (int i = 0; i < 100; ++i) threads.queue()->post([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(TaskThreads, ManyThreadsRunTasksAtTheSameTime) {
  std::latch all_here(3);
  TaskThreads threads(3);
  for (int i = 0; i < 3; ++i) threads.queue()->post([&] { all_here.arrive_and_wait(); });
  // Joining would never end if one task had to wait for another.
}

TEST(TaskThreads, TasksMayPostTasksAndLateOnesAreDropped) {
  std::atomic<int> ran = 0;
  std::shared_ptr<TaskQueue> queue;
  std::latch posted(1);
  {
    TaskThreads threads(1);
    queue = threads.queue();
    queue->post([&] {
      queue->post([&] { ++ran; });
      posted.count_down();
    });
    posted.wait();
  }
  queue->post([&] { ++ran; });
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(queue->run_next());
}

}  // namespace
}  // namespace neuros::pipeline
