#include "pipeline/stages/latency_window.h"

#include <algorithm>
#include <vector>

namespace neuros::pipeline {
namespace {

constexpr size_t kTimesMax = 1024;
constexpr std::chrono::seconds kAgeMax{60};

}  // namespace

void LatencyWindow::add(int64_t us, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  times_.emplace_back(now, us);
  if (times_.size() > kTimesMax) times_.pop_front();
}

int64_t LatencyWindow::median_us(Clock::time_point now) const {
  std::vector<int64_t> recent;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [when, us] : times_) {
      if (now - when <= kAgeMax) recent.push_back(us);
    }
  }
  if (recent.empty()) return 0;
  const auto middle = recent.begin() + static_cast<ptrdiff_t>(recent.size() / 2);
  std::nth_element(recent.begin(), middle, recent.end());
  return *middle;
}

}  // namespace neuros::pipeline
