#pragma once

#include "kernels/testing/buffers.h"
#include "kernels/testing/random.h"

#include <cstdint>

namespace neuros::kernels::testing {

/// f16 numbers as ops get and give them: NaN until written, with guards on both sides, aligned as
/// device memory is (64 bytes).
class Halves {
 public:
  explicit Halves(int64_t count = 0);
  Halves(const Halves& other);
  Halves(Halves&&) = default;
  Halves& operator=(Halves&&) = default;
  static Halves normal(Random& random, int64_t count, float sigma = 1.0f);

  uint16_t* data() { return bits() + kGuard; }
  const uint16_t* data() const {
    return reinterpret_cast<const uint16_t*>(storage_.data()) + kGuard;
  }
  int64_t size() const { return size_; }
  float operator[](int64_t i) const;
  void set(int64_t i, float value);
  /// Not written yet.
  bool is_untouched(int64_t i) const { return data()[i] == 0xffff; }
  bool guards_are_intact() const;

 private:
  static constexpr int64_t kGuard = 32;
  uint16_t* bits() { return reinterpret_cast<uint16_t*>(storage_.data()); }

  int64_t size_;
  AlignedBytes storage_;
};

}  // namespace neuros::kernels::testing
