/// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with one scale.

#include "kernels/grid_fit.h"
#include "kernels/lanes.h"
#include "kernels/pack_block.h"

#include <cmath>
#include <cstring>

namespace neuros::kernels {
namespace {

constexpr int kElements = 32;

void pack_nibbles(const uint8_t* codes, uint8_t* qs) {
  for (int i = 0; i < 16; ++i) {
    qs[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
  }
}

void pack_fifth_bits(const uint8_t* codes, uint8_t* qh) {
  uint32_t bits = 0;
  for (int i = 0; i < kElements; ++i) bits |= static_cast<uint32_t>(codes[i] >> 4) << i;
  std::memcpy(qh, &bits, sizeof(bits));
}

f16 encode_scaled(const BlockInput& in, Grid grid, uint8_t* codes) {
  const f16 d = stored_scale(fit_scale(in.x, in.w, kElements, grid).scale);
  encode(in.x, kElements, base::f16_to_float(d), 0.0f, grid, codes);
  return d;
}

struct StoredAffine {
  f16 d;
  f16 m;
};

StoredAffine encode_affine(const BlockInput& in, int highest, uint8_t* codes) {
  const AffineFit fit = fit_affine(in.x, in.w, kElements, highest, OffsetSign::kAny);
  const StoredAffine out{stored_scale(fit.scale), stored_scale(fit.offset)};
  encode(in.x, kElements, base::f16_to_float(out.d), base::f16_to_float(out.m), Grid{0, highest},
         codes);
  return out;
}

}  // namespace

void pack_block(const BlockInput& in, BlockQ4_0& out) {
  uint8_t codes[kElements];
  out.d = encode_scaled(in, Grid{-8, 7}, codes);
  pack_nibbles(codes, out.qs);
}

void pack_block(const BlockInput& in, BlockQ4_1& out) {
  uint8_t codes[kElements];
  const StoredAffine stored = encode_affine(in, 15, codes);
  out.d = stored.d;
  out.m = stored.m;
  pack_nibbles(codes, out.qs);
}

void pack_block(const BlockInput& in, BlockQ5_0& out) {
  uint8_t codes[kElements];
  out.d = encode_scaled(in, Grid{-16, 15}, codes);
  pack_nibbles(codes, out.qs);
  pack_fifth_bits(codes, out.qh);
}

void pack_block(const BlockInput& in, BlockQ5_1& out) {
  uint8_t codes[kElements];
  const StoredAffine stored = encode_affine(in, 31, codes);
  out.d = stored.d;
  out.m = stored.m;
  pack_nibbles(codes, out.qs);
  pack_fifth_bits(codes, out.qh);
}

void pack_block(const BlockInput& in, BlockQ8_0& out) {
  Lanes largest{};
  for (int i = 0; i < kElements; i += kLanes) {
    largest = higher(largest, higher(load(in.x + i), -load(in.x + i)));
  }
  float amax = 0.0f;
  for (int j = 0; j < kLanes; ++j) amax = std::fmax(amax, largest[j]);
  out.d = stored_scale(amax / 127.0f);
  const float d = base::f16_to_float(out.d);
  const Lanes inverse = splat(d == 0.0f ? 0.0f : 1.0f / d);
  for (int i = 0; i < kElements; i += kLanes) {
    const Lanes level = rounded(clamp(load(in.x + i) * inverse, splat(-127.0f), splat(127.0f)));
    for (int j = 0; j < kLanes; ++j) out.qs[i + j] = static_cast<int8_t>(level[j]);
  }
}

}  // namespace neuros::kernels
