/// The formats' definition as code: the same float operations in the same order as ggml's reference
/// (d * scale first, then times the code, then less the minimum). A binary16 has 11 bits, and scale
/// and code together at most 13, so products are exact and only the last difference rounds: fused
/// or not, on any processor, values agree to the bit.

#include "base/check.h"
#include "kernels/blocks.h"
#include "kernels/quantise.h"

#include <bit>
#include <cstring>

namespace neuros::kernels {
namespace {

using base::DType;
using base::f16_to_float;

void unpack(const BlockQ4_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((block.qs[i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((block.qs[i] >> 4) - 8) * d;
  }
}

void unpack(const BlockQ4_1& block, float* out) {
  const float d = f16_to_float(block.d);
  const float m = f16_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(block.qs[i] & 15) * d + m;
    out[i + 16] = static_cast<float>(block.qs[i] >> 4) * d + m;
  }
}

/// The fifth bits of elements i and i + 16, at their place.
int fifth_bit(const uint8_t* qh, int element) {
  return ((qh[element / 8] >> (element % 8)) & 1) << 4;
}

void unpack(const BlockQ5_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.qs[i] & 15) | fifth_bit(block.qh, i);
    const int high = (block.qs[i] >> 4) | fifth_bit(block.qh, i + 16);
    out[i] = static_cast<float>(low - 16) * d;
    out[i + 16] = static_cast<float>(high - 16) * d;
  }
}

void unpack(const BlockQ5_1& block, float* out) {
  const float d = f16_to_float(block.d);
  const float m = f16_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.qs[i] & 15) | fifth_bit(block.qh, i);
    const int high = (block.qs[i] >> 4) | fifth_bit(block.qh, i + 16);
    out[i] = static_cast<float>(low) * d + m;
    out[i + 16] = static_cast<float>(high) * d + m;
  }
}

void unpack(const BlockQ8_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(block.qs[i]) * d;
}

void unpack(const BlockQ2_K& block, float* out) {
  const float d = f16_to_float(block.d);
  const float dmin = f16_to_float(block.dmin);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(block.scales[g] & 15);
    const float minimum = dmin * static_cast<float>(block.scales[g] >> 4);
    const uint8_t* qs = block.qs + 32 * (g / 8) + 16 * (g % 2);
    const int shift = 2 * (g % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      out[16 * g + i] = scale * static_cast<float>((qs[i] >> shift) & 3) - minimum;
    }
  }
}

void unpack(const BlockQ3_K& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(scale_q3_k(block.scales, g));
    const uint8_t* qs = block.qs + 32 * (g / 8) + 16 * (g % 2);
    const uint8_t* hmask = block.hmask + 16 * (g % 2);
    const int shift = 2 * (g % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      const int high = (hmask[i] >> (g / 2)) & 1;
      out[16 * g + i] = scale * static_cast<float>(((qs[i] >> shift) & 3) + 4 * high - 4);
    }
  }
}

void unpack(const BlockQ4_K& block, float* out) {
  const float d = f16_to_float(block.d);
  const float dmin = f16_to_float(block.dmin);
  for (int g = 0; g < 8; ++g) {
    const ScaleMin packed = scale_min_k(block.scales, g);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* qs = block.qs + 32 * (g / 2);
    const int shift = 4 * (g % 2);
    for (int i = 0; i < 32; ++i) {
      out[32 * g + i] = scale * static_cast<float>((qs[i] >> shift) & 15) - minimum;
    }
  }
}

void unpack(const BlockQ5_K& block, float* out) {
  const float d = f16_to_float(block.d);
  const float dmin = f16_to_float(block.dmin);
  for (int g = 0; g < 8; ++g) {
    const ScaleMin packed = scale_min_k(block.scales, g);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* qs = block.qs + 32 * (g / 2);
    const int shift = 4 * (g % 2);
    for (int i = 0; i < 32; ++i) {
      const int code = ((qs[i] >> shift) & 15) | (((block.qh[i] >> g) & 1) << 4);
      out[32 * g + i] = scale * static_cast<float>(code) - minimum;
    }
  }
}

void unpack(const BlockQ6_K& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(block.scales[g]);
    const int in_half = 16 * (g % 8);
    const uint8_t* ql = block.ql + 64 * (g / 8) + in_half % 64;
    const uint8_t* qh = block.qh + 32 * (g / 8) + in_half % 32;
    const int low_shift = 4 * (in_half / 64);
    const int high_shift = 2 * (in_half / 32);
    for (int i = 0; i < 16; ++i) {
      const int code = ((ql[i] >> low_shift) & 15) | (((qh[i] >> high_shift) & 3) << 4);
      out[16 * g + i] = scale * static_cast<float>(code - 32);
    }
  }
}

void unpack_iq4(const uint8_t* qs, float scale, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(kIq4Values[qs[i] & 15]);
    out[i + 16] = scale * static_cast<float>(kIq4Values[qs[i] >> 4]);
  }
}

void unpack(const BlockIQ4_NL& block, float* out) {
  unpack_iq4(block.qs, f16_to_float(block.d), out);
}

void unpack(const BlockIQ4_XS& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int g = 0; g < 8; ++g) {
    unpack_iq4(block.qs + 16 * g, d * static_cast<float>(scale_iq4_xs(block, g)), out + 32 * g);
  }
}

/// `digits` runs of `count` elements, one from each byte.
void unpack_trits(const uint8_t* bytes, int count, int digits, float d, float* out) {
  for (int n = 0; n < digits; ++n) {
    for (int i = 0; i < count; ++i) {
      out[count * n + i] = static_cast<float>(trit_tq1_0(bytes[i], n) - 1) * d;
    }
  }
}

void unpack(const BlockTQ1_0& block, float* out) {
  const float d = f16_to_float(block.d);
  unpack_trits(block.qs, 32, 5, d, out);
  unpack_trits(block.qs + 32, 16, 5, d, out + 160);
  unpack_trits(block.qh, 4, 4, d, out + 240);
}

void unpack(const BlockTQ2_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int run = 0; run < 8; ++run) {
    const uint8_t* qs = block.qs + 32 * (run / 4);
    const int shift = 2 * (run % 4);
    for (int i = 0; i < 32; ++i) {
      out[32 * run + i] = static_cast<float>(((qs[i] >> shift) & 3) - 1) * d;
    }
  }
}

void unpack_codes_of_2(const uint8_t* qs, int bytes, float d, float* out) {
  for (int i = 0; i < bytes; ++i) {
    for (int j = 0; j < 4; ++j) {
      out[4 * i + j] = static_cast<float>(((qs[i] >> (2 * j)) & 3) - 1) * d;
    }
  }
}

void unpack(const BlockQ2_0& block, float* out) {
  unpack_codes_of_2(block.qs, 16, f16_to_float(block.d), out);
}

void unpack(const BlockQ2_0_128& block, float* out) {
  unpack_codes_of_2(block.qs, 32, f16_to_float(block.d), out);
}

template <typename Block>
void unpack_all(DType dtype, const std::byte* blocks, std::span<float> out) {
  const auto elements = static_cast<size_t>(base::info(dtype).block_elements);
  CHECK(sizeof(Block) == static_cast<size_t>(base::info(dtype).block_bytes));
  CHECK(out.size() % elements == 0);
  const auto* block = reinterpret_cast<const Block*>(blocks);
  for (size_t i = 0; i < out.size(); i += elements) unpack(*block++, out.data() + i);
}

template <typename Convert>
void convert_16_bits(const std::byte* source, std::span<float> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, source + 2 * i, sizeof(bits));
    out[i] = convert(bits);
  }
}

}  // namespace

void dequantise(DType dtype, const std::byte* blocks, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), blocks, out.size_bytes());
      return;
    case DType::kF16:
      return convert_16_bits(blocks, out, base::f16_to_float);
    case DType::kBF16:
      return convert_16_bits(blocks, out, base::bf16_to_float);
    case DType::kQ4_0:
      return unpack_all<BlockQ4_0>(dtype, blocks, out);
    case DType::kQ4_1:
      return unpack_all<BlockQ4_1>(dtype, blocks, out);
    case DType::kQ5_0:
      return unpack_all<BlockQ5_0>(dtype, blocks, out);
    case DType::kQ5_1:
      return unpack_all<BlockQ5_1>(dtype, blocks, out);
    case DType::kQ8_0:
      return unpack_all<BlockQ8_0>(dtype, blocks, out);
    case DType::kQ2_K:
      return unpack_all<BlockQ2_K>(dtype, blocks, out);
    case DType::kQ3_K:
      return unpack_all<BlockQ3_K>(dtype, blocks, out);
    case DType::kQ4_K:
      return unpack_all<BlockQ4_K>(dtype, blocks, out);
    case DType::kQ5_K:
      return unpack_all<BlockQ5_K>(dtype, blocks, out);
    case DType::kQ6_K:
      return unpack_all<BlockQ6_K>(dtype, blocks, out);
    case DType::kIQ4_NL:
      return unpack_all<BlockIQ4_NL>(dtype, blocks, out);
    case DType::kIQ4_XS:
      return unpack_all<BlockIQ4_XS>(dtype, blocks, out);
    case DType::kTQ1_0:
      return unpack_all<BlockTQ1_0>(dtype, blocks, out);
    case DType::kTQ2_0:
      return unpack_all<BlockTQ2_0>(dtype, blocks, out);
    case DType::kQ2_0:
      return unpack_all<BlockQ2_0>(dtype, blocks, out);
    case DType::kQ2_0_128:
      return unpack_all<BlockQ2_0_128>(dtype, blocks, out);
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
