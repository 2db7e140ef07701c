#include "kernels/quantise.h"

#include "base/check.h"
#include "kernels/blocks.h"
#include "kernels/lanes.h"
#include "kernels/pack_block.h"

#include <cmath>
#include <cstring>
#include <type_traits>

namespace neuros::kernels {
namespace {

using base::DType;

/// NaN as 0, the rest within what squares may be made of.
Lanes sanitised(Lanes value) {
  const Lanes number = value == value ? value : Lanes{};
  return clamp(number, splat(-0x1p28f), splat(0x1p28f));
}

float load_values(const float* values, int n, BlockInput& in) {
  Lanes squares{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes x = sanitised(load(values + i));
    store(x, in.x + i);
    squares += x * x;
  }
  return sum(squares) / static_cast<float>(n);
}

/// An error costs more on larger weights: they meet larger activations. Without importance all
/// columns count alike.
void load_weights(const float* importance, int n, float mean_square, BlockInput& in) {
  const Lanes least = splat(1e-8f);
  for (int i = 0; i < n; i += kLanes) {
    const Lanes x = load(in.x + i);
    const Lanes energy = splat(mean_square) + x * x;
    Lanes root;
    for (int j = 0; j < kLanes; ++j) root[j] = std::sqrt(energy[j]);
    if (importance != nullptr) root *= higher(sanitised(load(importance + i)), least);
    store(root, in.w + i);
  }
}

template <typename Block>
void pack_all(DType dtype, std::span<const float> values, std::span<const float> importance,
              std::byte* blocks) {
  const auto elements = static_cast<size_t>(base::info(dtype).block_elements);
  CHECK(sizeof(Block) == static_cast<size_t>(base::info(dtype).block_bytes));
  CHECK(values.size() % elements == 0 && importance.size() % elements == 0);
  auto* out = reinterpret_cast<Block*>(blocks);
  BlockInput in;
  size_t column = 0;
  for (size_t i = 0; i < values.size(); i += elements, column += elements) {
    const int n = static_cast<int>(elements);
    const float mean_square = load_values(values.data() + i, n, in);
    if (column == importance.size()) column = 0;
    const float* weights = importance.empty() ? nullptr : importance.data() + column;
    if constexpr (!std::is_same_v<Block, BlockQ8_0>) load_weights(weights, n, mean_square, in);
    pack_block(in, *out++);
  }
}

template <typename Convert>
void convert_to_16_bits(std::span<const float> values, std::byte* out, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = convert(values[i]);
    std::memcpy(out + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace

bool can_quantise(DType dtype) {
  return static_cast<int>(dtype) < base::kWeightDTypeCount;
}

void quantise(DType dtype, std::span<const float> values, std::span<const float> importance,
              std::byte* blocks) {
  CHECK(importance.empty() || values.size() % importance.size() == 0);
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(blocks, values.data(), values.size_bytes());
      return;
    case DType::kF16:
      return convert_to_16_bits(values, blocks, base::float_to_f16);
    case DType::kBF16:
      return convert_to_16_bits(values, blocks, base::float_to_bf16);
    case DType::kQ4_0:
      return pack_all<BlockQ4_0>(dtype, values, importance, blocks);
    case DType::kQ4_1:
      return pack_all<BlockQ4_1>(dtype, values, importance, blocks);
    case DType::kQ5_0:
      return pack_all<BlockQ5_0>(dtype, values, importance, blocks);
    case DType::kQ5_1:
      return pack_all<BlockQ5_1>(dtype, values, importance, blocks);
    case DType::kQ8_0:
      return pack_all<BlockQ8_0>(dtype, values, importance, blocks);
    case DType::kQ2_K:
      return pack_all<BlockQ2_K>(dtype, values, importance, blocks);
    case DType::kQ3_K:
      return pack_all<BlockQ3_K>(dtype, values, importance, blocks);
    case DType::kQ4_K:
      return pack_all<BlockQ4_K>(dtype, values, importance, blocks);
    case DType::kQ5_K:
      return pack_all<BlockQ5_K>(dtype, values, importance, blocks);
    case DType::kQ6_K:
      return pack_all<BlockQ6_K>(dtype, values, importance, blocks);
    case DType::kIQ4_NL:
      return pack_all<BlockIQ4_NL>(dtype, values, importance, blocks);
    case DType::kIQ4_XS:
      return pack_all<BlockIQ4_XS>(dtype, values, importance, blocks);
    case DType::kTQ1_0:
      return pack_all<BlockTQ1_0>(dtype, values, importance, blocks);
    case DType::kTQ2_0:
      return pack_all<BlockTQ2_0>(dtype, values, importance, blocks);
    case DType::kQ2_0:
      return pack_all<BlockQ2_0>(dtype, values, importance, blocks);
    case DType::kQ2_0_128:
      return pack_all<BlockQ2_0_128>(dtype, values, importance, blocks);
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kF64:
      break;
  }
  CHECK(false, "not a type of weights");
}

}  // namespace neuros::kernels
