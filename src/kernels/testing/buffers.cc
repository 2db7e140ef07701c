#include "kernels/testing/buffers.h"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace neuros::kernels::testing {
namespace {

const float kPoison = std::bit_cast<float>(0x7fc0beefu);

bool is_poison(float value) {
  return std::bit_cast<uint32_t>(value) == 0x7fc0beefu;
}

}  // namespace

Floats::Floats(int64_t count) : storage_(static_cast<size_t>(kBefore + count + kAfter), kPoison) {}

Floats Floats::normal(Random& random, int64_t count, float sigma) {
  Floats out(count);
  for (float& value : out.span()) value = random.normal(sigma);
  return out;
}

bool Floats::guards_are_intact() const {
  for (int64_t i = 0; i < kBefore; ++i) {
    if (!is_poison(storage_[static_cast<size_t>(i)])) return false;
  }
  return is_poison(storage_.back());
}

AlignedBytes::AlignedBytes(int64_t count)
    : size_(count),
      bytes_(static_cast<std::byte*>(
          std::aligned_alloc(64, (static_cast<size_t>(count) + 63) / 64 * 64))) {
  std::memset(bytes_.get(), 0xff, static_cast<size_t>(count));
}

void AlignedBytes::Free::operator()(std::byte* bytes) const {
  std::free(bytes);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace neuros::kernels::testing
