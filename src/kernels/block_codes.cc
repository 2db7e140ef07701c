#include "kernels/block_codes.h"

#include <cstring>

namespace neuros::kernels {
namespace {

using base::DType;

template <typename Block>
Block load(const std::byte* bytes) {
  Block block;
  std::memcpy(&block, bytes, sizeof(block));
  return block;
}

/// 2 * count codes: the low nibbles of `count` bytes, then the high ones.
void nibbles(const uint8_t* bytes, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) codes[i] = bytes[i] & 15;
  for (int i = 0; i < count; ++i) codes[count + i] = bytes[i] >> 4;
}

/// 4 * count codes: bits 0-1 of `count` bytes, then bits 2-3 and so on.
void crumbs(const uint8_t* bytes, int count, uint8_t* codes) {
  for (int part = 0; part < 4; ++part) {
    for (int i = 0; i < count; ++i) {
      codes[part * count + i] = (bytes[i] >> (2 * part)) & 3;
    }
  }
}

/// Adds bit i of 32 bits as the fifth bit of code i, eight codes at a time: each byte of a word
/// keeps its own bit of the eight, and is then nonzero or not.
void add_fifth_bits(const uint8_t (&bits)[4], uint8_t* codes) {
  constexpr uint64_t kEach = 0x0101010101010101u;
  for (int n = 0; n < 4; ++n) {
    const uint64_t own = (bits[n] * kEach) & 0x8040201008040201u;
    uint64_t eight = 0;
    std::memcpy(&eight, codes + 8 * n, sizeof(eight));
    eight |= ((own + 0x7f * kEach) >> 3) & (0x10 * kEach);
    std::memcpy(codes + 8 * n, &eight, sizeof(eight));
  }
}

/// Adds bit e / 32 of byte e % 32 to the 256 codes, at `place`.
void add_high_bits(const uint8_t (&bytes)[32], int place, uint8_t* codes) {
  for (int n = 0; n < 8; ++n) {
    for (int i = 0; i < 32; ++i) {
      codes[32 * n + i] |= static_cast<uint8_t>(((bytes[i] >> n) & 1) << place);
    }
  }
}

void scale_min_groups(const uint8_t (&scales)[12], BlockCodes& out) {
  for (int g = 0; g < 8; ++g) {
    const ScaleMin pair = scale_min_k(scales, g);
    out.sub[static_cast<size_t>(g)] = pair.scale;
    out.sub[static_cast<size_t>(g + 8)] = pair.minimum;
  }
}

}  // namespace

template <>
void read_block<DType::kQ4_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ4_0>(bytes);
  nibbles(block.qs, 16, out.codes.data());
  out.d = block.d;
}

template <>
void read_block<DType::kIQ4_NL>(const std::byte* bytes, BlockCodes& out) {
  read_block<DType::kQ4_0>(bytes, out);
}

template <>
void read_block<DType::kQ4_1>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ4_1>(bytes);
  nibbles(block.qs, 16, out.codes.data());
  out.d = block.d;
  out.m = block.m;
}

template <>
void read_block<DType::kQ5_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ5_0>(bytes);
  nibbles(block.qs, 16, out.codes.data());
  add_fifth_bits(block.qh, out.codes.data());
  out.d = block.d;
}

template <>
void read_block<DType::kQ5_1>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ5_1>(bytes);
  nibbles(block.qs, 16, out.codes.data());
  add_fifth_bits(block.qh, out.codes.data());
  out.d = block.d;
  out.m = block.m;
}

template <>
void read_block<DType::kQ8_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ8_0>(bytes);
  for (int i = 0; i < 32; ++i) {
    out.codes[static_cast<size_t>(i)] = static_cast<uint8_t>(block.qs[i] + 128);
  }
  out.d = block.d;
}

template <>
void read_block<DType::kQ2_K>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ2_K>(bytes);
  crumbs(block.qs, 32, out.codes.data());
  crumbs(block.qs + 32, 32, out.codes.data() + 128);
  std::memcpy(out.sub.data(), block.scales, sizeof(block.scales));
  out.d = block.d;
  out.m = block.dmin;
}

template <>
void read_block<DType::kQ3_K>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ3_K>(bytes);
  crumbs(block.qs, 32, out.codes.data());
  crumbs(block.qs + 32, 32, out.codes.data() + 128);
  add_high_bits(block.hmask, 2, out.codes.data());
  for (int g = 0; g < 16; ++g) {
    out.sub[static_cast<size_t>(g)] = static_cast<uint8_t>(scale_q3_k(block.scales, g));
  }
  out.d = block.d;
}

template <>
void read_block<DType::kQ4_K>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ4_K>(bytes);
  for (int quarter = 0; quarter < 4; ++quarter) {
    nibbles(block.qs + 32 * quarter, 32, out.codes.data() + 64 * quarter);
  }
  scale_min_groups(block.scales, out);
  out.d = block.d;
  out.m = block.dmin;
}

template <>
void read_block<DType::kQ5_K>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ5_K>(bytes);
  for (int quarter = 0; quarter < 4; ++quarter) {
    nibbles(block.qs + 32 * quarter, 32, out.codes.data() + 64 * quarter);
  }
  add_high_bits(block.qh, 4, out.codes.data());
  scale_min_groups(block.scales, out);
  out.d = block.d;
  out.m = block.dmin;
}

template <>
void read_block<DType::kQ6_K>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ6_K>(bytes);
  uint8_t high[256];
  for (int half = 0; half < 2; ++half) {
    nibbles(block.ql + 64 * half, 64, out.codes.data() + 128 * half);
    crumbs(block.qh + 32 * half, 32, high + 128 * half);
  }
  for (size_t e = 0; e < 256; ++e) out.codes[e] |= static_cast<uint8_t>(high[e] << 4);
  std::memcpy(out.sub.data(), block.scales, sizeof(block.scales));
  out.d = block.d;
}

template <>
void read_block<DType::kIQ4_XS>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockIQ4_XS>(bytes);
  for (int g = 0; g < 8; ++g) {
    nibbles(block.qs + 16 * g, 16, out.codes.data() + 32 * g);
    out.sub[static_cast<size_t>(g)] = static_cast<uint8_t>(scale_iq4_xs(block, g));
  }
  out.d = block.d;
}

template <>
void read_block<DType::kTQ1_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockTQ1_0>(bytes);
  uint8_t* codes = out.codes.data();
  const auto digits = [](const uint8_t* from, int count, int n, uint8_t* to) {
    for (int i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(trit_tq1_0(from[i], n));
  };
  for (int n = 0; n < 5; ++n) digits(block.qs, 32, n, codes + 32 * n);
  for (int n = 0; n < 5; ++n) digits(block.qs + 32, 16, n, codes + 160 + 16 * n);
  for (int n = 0; n < 4; ++n) digits(block.qh, 4, n, codes + 240 + 4 * n);
  out.d = block.d;
}

template <>
void read_block<DType::kTQ2_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockTQ2_0>(bytes);
  crumbs(block.qs, 32, out.codes.data());
  crumbs(block.qs + 32, 32, out.codes.data() + 128);
  out.d = block.d;
}

namespace {

/// Codes of four consecutive elements in each byte.
void quads(const uint8_t* bytes, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    const uint32_t byte = bytes[i];
    const uint32_t four = (byte | byte << 6 | byte << 12 | byte << 18) & 0x03030303u;
    std::memcpy(codes + 4 * i, &four, sizeof(four));
  }
}

}  // namespace

template <>
void read_block<DType::kQ2_0>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ2_0>(bytes);
  quads(block.qs, 16, out.codes.data());
  out.d = block.d;
}

template <>
void read_block<DType::kQ2_0_128>(const std::byte* bytes, BlockCodes& out) {
  const auto block = load<BlockQ2_0_128>(bytes);
  quads(block.qs, 32, out.codes.data());
  out.d = block.d;
}

}  // namespace neuros::kernels
