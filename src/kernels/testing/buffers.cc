#include "kernels/testing/buffers.h"

#include "kernels/testing/memory.h"

#include <bit>
#include <cstring>

namespace neuros::kernels::testing {
namespace {

constexpr size_t kAlignment = 64;

const float kPoison = std::bit_cast<float>(0x7fc0beefu);

bool is_poison(float value) {
  return std::bit_cast<uint32_t>(value) == 0x7fc0beefu;
}

}  // namespace

Floats::Floats(int64_t count)
    : storage_(static_cast<size_t>(kBefore + count + kAfter), kPoison, &buffer_memory()) {}

Floats::Floats(const Floats& other) : storage_(other.storage_, &buffer_memory()) {}

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
      bytes_(
          static_cast<std::byte*>(buffer_memory().allocate(static_cast<size_t>(count), kAlignment)),
          Free{static_cast<size_t>(count)}) {
  std::memset(bytes_.get(), 0xff, static_cast<size_t>(count));
}

void AlignedBytes::Free::operator()(std::byte* at) const {
  buffer_memory().deallocate(at, bytes, kAlignment);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace neuros::kernels::testing
