#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace neuros::kernels::cuda {

/// How many blocks of one kernel the current device runs at once. Remembers the last answer for
/// each device.
class Residency {
 public:
  int blocks(const void* kernel, int threads, int shared_bytes);

 private:
  static constexpr int kDevicesMax = 32;
  /// Shared bytes in the upper half, blocks in the lower.
  std::array<std::atomic<uint64_t>, kDevicesMax> last_{};
};

}  // namespace neuros::kernels::cuda
