#include "builder/random_blocks.h"

#include "base/check.h"
#include "base/float16.h"

#include <cmath>
#include <cstring>
#include <optional>

namespace neuros::builder {
namespace {

using base::DType;

/// Where a block keeps its f16 scale and minimum, and what they are for a deviation of 1 when all
/// the other bits are random. Codes are uniform: 16 levels deviate by 4.61 steps, 6-bit sub-scales
/// have a root mean square of 36.6 and a mean of 31.5.
struct BlockRecipe {
  int scale_at = 0;
  float scale = 1.0f;
  std::optional<int> minimum_at{};
  float minimum = 0.0f;  ///< as a multiple of the scale
};

std::optional<BlockRecipe> recipe_of(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return BlockRecipe{0, 1.0f / 4.61f};
    case DType::kQ4_1:
      return BlockRecipe{0, 1.0f / 4.61f, 2, -7.5f};
    case DType::kQ5_0:
      return BlockRecipe{0, 1.0f / 9.23f};
    case DType::kQ5_1:
      return BlockRecipe{0, 1.0f / 9.23f, 2, -15.5f};
    case DType::kQ8_0:
      return BlockRecipe{0, 1.0f / 73.9f};
    case DType::kQ2_K:
      return BlockRecipe{80, 1.0f / (1.12f * 8.8f * 1.40f), 82, 1.5f};
    case DType::kQ3_K:
      return BlockRecipe{108, 1.0f / (2.29f * 18.5f)};
    case DType::kQ4_K:
      return BlockRecipe{0, 1.0f / (4.61f * 36.6f * 1.55f), 2, 7.5f};
    case DType::kQ5_K:
      return BlockRecipe{0, 1.0f / (9.23f * 36.6f * 1.55f), 2, 15.5f};
    case DType::kQ6_K:
      return BlockRecipe{208, 1.0f / (18.5f * 73.9f)};
    case DType::kIQ4_NL:
      return BlockRecipe{0, 1.0f / 69.0f};
    case DType::kIQ4_XS:
      return BlockRecipe{0, 1.0f / (69.0f * 18.5f)};
    case DType::kTQ1_0:
      return BlockRecipe{52, 1.0f / 0.82f};
    case DType::kTQ2_0:
      return BlockRecipe{64, 1.0f / 0.82f};
    case DType::kQ2_0:
      return BlockRecipe{0, 1.0f / 1.22f};
    case DType::kQ2_0_128:
      return BlockRecipe{0, 1.0f / 1.22f};
    default:
      return std::nullopt;
  }
}

void fill_random_bytes(RandomWords& random, std::span<std::byte> bytes) {
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random.next();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  const uint64_t word = random.next();
  std::memcpy(bytes.data() + at, &word, bytes.size() - at);
}

/// Two bits a code; code 3 is not a ternary digit and becomes 1.
void make_ternary(std::span<std::byte> codes) {
  for (std::byte& code : codes) {
    const auto bits = static_cast<uint8_t>(code);
    const auto threes = static_cast<uint8_t>(bits & (bits >> 1) & 0x55);
    code = static_cast<std::byte>(bits & ~(threes << 1));
  }
}

void put_f16(std::byte* at, float value) {
  const uint16_t bits = base::float_to_f16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

/// Uniform in [-1, 1) times deviation * sqrt(3).
float uniform(RandomWords& random, float deviation) {
  const auto signed_word = static_cast<int64_t>(random.next());
  return static_cast<float>(signed_word) * 0x1p-63f * deviation * 1.7320508f;
}

void fill_plain(DType dtype, float deviation, RandomWords& random, std::span<std::byte> out) {
  const auto size = static_cast<size_t>(base::info(dtype).block_bytes);
  for (size_t at = 0; at < out.size(); at += size) {
    const float value = uniform(random, deviation);
    if (dtype == DType::kF32) {
      std::memcpy(out.data() + at, &value, sizeof(value));
    } else {
      const uint16_t bits =
          dtype == DType::kF16 ? base::float_to_f16(value) : base::float_to_bf16(value);
      std::memcpy(out.data() + at, &bits, sizeof(bits));
    }
  }
}

}  // namespace

void fill_random_blocks(DType dtype, float deviation, RandomWords& random,
                        std::span<std::byte> blocks) {
  const auto recipe = recipe_of(dtype);
  if (!recipe) return fill_plain(dtype, deviation, random, blocks);
  fill_random_bytes(random, blocks);
  const auto size = static_cast<size_t>(base::info(dtype).block_bytes);
  CHECK(blocks.size() % size == 0);
  const float scale = recipe->scale * deviation;
  for (size_t at = 0; at < blocks.size(); at += size) {
    if (dtype == DType::kTQ2_0) make_ternary(blocks.subspan(at, 64));
    put_f16(blocks.data() + at + recipe->scale_at, scale);
    if (recipe->minimum_at) {
      put_f16(blocks.data() + at + *recipe->minimum_at, scale * recipe->minimum);
    }
  }
}

}  // namespace neuros::builder
