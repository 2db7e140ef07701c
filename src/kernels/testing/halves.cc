#include "kernels/testing/halves.h"

#include "base/float16.h"

#include <cstring>

namespace neuros::kernels::testing {

Halves::Halves(int64_t count) : size_(count), storage_(2 * (count + 2 * kGuard)) {}

Halves::Halves(const Halves& other) : Halves(other.size_) {
  std::memcpy(data(), other.data(), static_cast<size_t>(size_) * sizeof(uint16_t));
}

Halves Halves::normal(Random& random, int64_t count, float sigma) {
  Halves out(count);
  for (int64_t i = 0; i < count; ++i) out.set(i, random.normal(sigma));
  return out;
}

float Halves::operator[](int64_t i) const {
  return base::f16_to_float(data()[i]);
}

void Halves::set(int64_t i, float value) {
  data()[i] = base::float_to_f16(value);
}

bool Halves::guards_are_intact() const {
  for (int64_t i = 1; i <= kGuard; ++i) {
    if (!is_untouched(-i) || !is_untouched(size_ + i - 1)) return false;
  }
  return true;
}

}  // namespace neuros::kernels::testing
