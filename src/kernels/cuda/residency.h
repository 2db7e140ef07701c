#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace neuros::kernels::cuda {

/// How many blocks of one kernel, or clusters of them, the current device runs at once. Remembers
/// the last answer for each device; of one kernel always the same is asked.
class Residency {
 public:
  int blocks(const void* kernel, int threads, int shared_bytes);
  int clusters(const void* kernel, int threads, int shared_bytes, unsigned cluster);

 private:
  template <typename Count>
  int remembered(const void* kernel, int shared_bytes, Count count);

  static constexpr int kDevicesMax = 32;
  /// Shared bytes in the upper half, the answer in the lower.
  std::array<std::atomic<uint64_t>, kDevicesMax> last_{};
};

}  // namespace neuros::kernels::cuda
