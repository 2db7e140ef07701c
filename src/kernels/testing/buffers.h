#pragma once

#include "kernels/testing/random.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <vector>

namespace neuros::kernels::testing {

/// Floats as ops get and give them: on no vector boundary, NaN until written, and with guards on
/// both sides (NaN too, so that a kernel that reads past an end gives NaN or fails under ASan).
class Floats {
 public:
  explicit Floats(int64_t count = 0);
  Floats(const Floats& other);  ///< in buffer_memory() too, which std::pmr would leave
  Floats(Floats&&) = default;
  Floats& operator=(const Floats&) = default;
  Floats& operator=(Floats&&) = default;
  static Floats normal(Random& random, int64_t count, float sigma = 1.0f);

  float* data() { return storage_.data() + kBefore; }
  const float* data() const { return storage_.data() + kBefore; }
  int64_t size() const { return std::ssize(storage_) - kBefore - kAfter; }
  std::span<float> span() { return {data(), static_cast<size_t>(size())}; }
  std::span<const float> span() const { return {data(), static_cast<size_t>(size())}; }
  float& operator[](int64_t i) { return data()[i]; }
  float operator[](int64_t i) const { return data()[i]; }

  /// Nothing was written beside the floats.
  bool guards_are_intact() const;

 private:
  static constexpr int64_t kBefore = 17;
  static constexpr int64_t kAfter = 1;
  std::pmr::vector<float> storage_;
};

/// Memory aligned to 64 bytes, no longer than asked for; all bits set.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t count = 0);
  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }
  std::span<std::byte> span() { return {bytes_.get(), static_cast<size_t>(size_)}; }

 private:
  struct Free {
    size_t bytes;
    void operator()(std::byte* at) const;
  };
  int64_t size_;
  std::unique_ptr<std::byte[], Free> bytes_;
};

/// Same bits, NaN included.
bool same_bits(std::span<const float> a, std::span<const float> b);

}  // namespace neuros::kernels::testing
