#pragma once

#include "base/check.h"
#include "kernels/cuda/launch.cuh"

namespace neuros::bench {

/// A point in a stream's work.
class Event {
 public:
  Event() { CHECK(cudaEventCreate(&event_) == cudaSuccess); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }

  void record(cudaStream_t stream) { CHECK(cudaEventRecord(event_, stream) == cudaSuccess); }
  /// Waits until the stream has come to this point.
  void wait() const {
    const cudaError_t error = cudaEventSynchronize(event_);
    CHECK(error == cudaSuccess, cudaGetErrorString(error));
  }
  /// From another point to this one; both are past.
  double milliseconds_since(const Event& start) const {
    float elapsed = 0.0f;
    CHECK(cudaEventElapsedTime(&elapsed, start.event_, event_) == cudaSuccess);
    return elapsed;
  }

 private:
  cudaEvent_t event_{};
};

/// Times work on a stream by a pair of events.
class EventTimer {
 public:
  explicit EventTimer(cudaStream_t stream) : stream_(stream) {}

  template <typename Work>
  double milliseconds(Work work) {
    start_.record(stream_);
    work();
    stop_.record(stream_);
    stop_.wait();
    return stop_.milliseconds_since(start_);
  }

 private:
  cudaStream_t stream_;
  Event start_, stop_;
};

}  // namespace neuros::bench
