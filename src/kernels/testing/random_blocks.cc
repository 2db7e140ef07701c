#include "kernels/testing/random_blocks.h"

#include "kernels/quantise.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace neuros::kernels::testing {

std::vector<std::byte> random_blocks(base::DType dtype, int64_t elements, uint32_t seed) {
  const base::DTypeInfo& type = base::info(dtype);
  std::mt19937 random(seed);
  std::vector<std::byte> blocks(static_cast<size_t>(base::bytes_of(dtype, elements)));
  std::vector<float> values(static_cast<size_t>(type.block_elements));
  const auto finite = [](float value) { return std::isfinite(value); };
  for (size_t at = 0; at < blocks.size(); at += static_cast<size_t>(type.block_bytes)) {
    do {
      for (int64_t i = 0; i < type.block_bytes; ++i) {
        blocks[at + static_cast<size_t>(i)] = static_cast<std::byte>(random() & 255u);
      }
      dequantise(dtype, blocks.data() + at, values);
    } while (!std::all_of(values.begin(), values.end(), finite));
  }
  return blocks;
}

}  // namespace neuros::kernels::testing
