#pragma once

#include <chrono>
#include <memory>
#include <vector>

namespace neuros::device {

/// Times the parts of a stream's work, for measurements.
class Stopwatch {
 public:
  virtual ~Stopwatch() = default;
  /// Marks this place of the stream's work. What is marked on a GPU no longer overlaps at its ends.
  virtual void mark() = 0;
  /// Microseconds from each mark to the next, which are then forgotten. Call after synchronize().
  virtual std::vector<double> laps_us() = 0;
};

/// For streams whose work is done when a call returns: the host's clock.
class HostStopwatch final : public Stopwatch {
 public:
  void mark() override;
  std::vector<double> laps_us() override;

 private:
  std::vector<std::chrono::steady_clock::time_point> marks_;
};

}  // namespace neuros::device
