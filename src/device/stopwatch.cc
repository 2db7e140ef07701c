#include "device/stopwatch.h"

namespace neuros::device {

void HostStopwatch::mark() {
  marks_.push_back(std::chrono::steady_clock::now());
}

std::vector<double> HostStopwatch::laps_us() {
  std::vector<double> laps;
  for (size_t i = 1; i < marks_.size(); ++i) {
    laps.push_back(std::chrono::duration<double, std::micro>(marks_[i] - marks_[i - 1]).count());
  }
  marks_.clear();
  return laps;
}

}  // namespace neuros::device
