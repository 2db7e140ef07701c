#pragma once

/// One element of a matrix in fragment panels (kernels/cuda/fragment_layout.h), by the format's
/// definition: the plain way to read that layout, on the host too. Operations are in the order of
/// kernels/dequantise.cc; every product is exact there, so values agree to the bit, fused or not.

#include "base/dtype.h"
#include "base/float16.h"
#include "base/host_device.h"
#include "kernels/blocks.h"
#include "kernels/cuda/fragment_layout.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace neuros::kernels::cuda {

NEUROS_HOST_DEVICE inline uint16_t fragment_u16(const std::byte* at) {
  return static_cast<uint16_t>(static_cast<unsigned>(at[0]) | static_cast<unsigned>(at[1]) << 8);
}

NEUROS_HOST_DEVICE inline float fragment_f16(const std::byte* at) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(fragment_u16(at)));
#else
  return base::f16_to_float(fragment_u16(at));
#endif
}

NEUROS_HOST_DEVICE inline float fragment_f32(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/// Eight levels of the IQ4 formats from `first` on, one a byte: device code cannot index the host's
/// array.
constexpr uint64_t iq4_levels(size_t first) {
  uint64_t packed = 0;
  for (size_t i = 0; i < 8; ++i) {
    packed |= static_cast<uint64_t>(static_cast<uint8_t>(kIq4Values[first + i])) << (8 * i);
  }
  return packed;
}

NEUROS_HOST_DEVICE inline int iq4_level(int code) {
  constexpr uint64_t kLow = iq4_levels(0), kHigh = iq4_levels(8);
  return static_cast<int8_t>((code < 8 ? kLow : kHigh) >> (8 * (code & 7)) & 0xff);
}

/// Where an element's code lies in every plane of its chunk.
struct FragmentPlace {
  int step;  ///< of the chunk
  int lane, word, byte;

  /// `row` in the panel, `column` in the chunk.
  NEUROS_HOST_DEVICE static FragmentPlace of(int row, int column) {
    const int in_step = column % kStepColumns;
    return {column / kStepColumns, 4 * (row % 8) + in_step % 16 / 4, 2 * (in_step / 16) + row / 8,
            in_step % 4};
  }
  NEUROS_HOST_DEVICE int in_group() const { return 16 * lane + 4 * word + byte; }
};

/// The stored code, low and high planes together; of 8 bits: signed.
template <base::DType kDType>
NEUROS_HOST_DEVICE int fragment_code(const std::byte* chunk, FragmentPlace at) {
  constexpr FragmentFormat kFormat = fragment_format(kDType);
  constexpr int kGroupBytes = 4 * 4 * kLanes;
  const std::byte* low = chunk + kFormat.low_offset() + at.in_group();
  const std::byte* high = chunk + kFormat.high_offset();
  if constexpr (kFormat.low_bits == 8) {
    return static_cast<int8_t>(low[at.step * kGroupBytes]);
  }
  constexpr int kSteps = 8 / kFormat.low_bits;  // that share a byte
  int code = static_cast<int>(low[at.step / kSteps * kGroupBytes]) >>
                 (kFormat.low_bits * (at.step % kSteps)) &
             ((1 << kFormat.low_bits) - 1);
  if constexpr (kFormat.high_bits == 1 && kFormat.steps == 8) {
    code |= (static_cast<int>(high[at.in_group()]) >> at.step & 1) << kFormat.low_bits;
  }
  if constexpr (kFormat.high_bits == 1 && kFormat.steps == 4) {
    const int bit = 4 * (at.word % 2) + at.step;
    const int byte = static_cast<int>(high[8 * at.lane + 4 * (at.word / 2) + at.byte]);
    code |= (byte >> bit & 1) << kFormat.low_bits;
  }
  if constexpr (kFormat.high_bits == 2) {
    const int byte = static_cast<int>(high[at.step / 4 * kGroupBytes + at.in_group()]);
    code |= (byte >> (2 * (at.step % 4)) & 3) << kFormat.low_bits;
  }
  return code;
}

/// Scale, and minimum where the type has one, of an element: its block's times its group's.
struct FragmentScale {
  float scale, minimum;
};

template <base::DType kDType>
NEUROS_HOST_DEVICE FragmentScale fragment_scale(const std::byte* chunk, int row, int column) {
  constexpr FragmentFormat kFormat = fragment_format(kDType);
  const int g = row % 8, upper = row / 8;
  if constexpr (kFormat.sub_scales == SubScales::kNone) {
    const int pair = g * kFormat.scales() + column / kFormat.block;
    const std::byte* at = chunk + 2 * (2 * pair + upper);
    constexpr int kMinima = kFormat.scales() * kPanelRows * 2;
    return {fragment_f16(at), kFormat.minimum ? fragment_f16(at + kMinima) : 0.0f};
  } else {
    const int halves = kFormat.minimum ? 4 : 2;
    const std::byte* at = chunk + 2 * (halves * g + upper);
    const float d = fragment_f16(at);
    const int pair = g * kFormat.sub_groups() + column / kFormat.sub_columns;
    const std::byte* sub = chunk + kFormat.scale_bytes();
    if constexpr (kFormat.sub_scales == SubScales::kSigned) {
      return {d * static_cast<float>(static_cast<int8_t>(sub[2 * pair + upper])), 0.0f};
    } else {
      const float m = fragment_f16(at + 4);
      if constexpr (kFormat.sub_scales == SubScales::kNibbles) {
        const int both = static_cast<int>(sub[2 * pair + upper]);
        return {d * static_cast<float>(both & 15), m * static_cast<float>(both >> 4)};
      }
      sub += 4 * pair + upper;
      return {d * static_cast<float>(static_cast<int>(sub[0])),
              m * static_cast<float>(static_cast<int>(sub[2]))};
    }
  }
}

template <base::DType kDType>
NEUROS_HOST_DEVICE float fragment_quantised(const std::byte* chunk, int row, int column) {
  constexpr FragmentFormat kFormat = fragment_format(kDType);
  const int code = fragment_code<kDType>(chunk, FragmentPlace::of(row, column));
  const FragmentScale by = fragment_scale<kDType>(chunk, row, column);
  if constexpr (kFormat.minimum) {
    const float product = by.scale * static_cast<float>(code);
    return kFormat.sub_scales == SubScales::kNone ? product + by.minimum : product - by.minimum;
  }
  if constexpr (kFormat.lookup) return by.scale * static_cast<float>(iq4_level(code));
  return by.scale * static_cast<float>(kFormat.offset < 0 ? code : code - kFormat.offset);
}

/// Element (row, col) of a packed matrix of `cols` columns.
template <base::DType kDType>
NEUROS_HOST_DEVICE float fragment_element(const std::byte* matrix, int64_t cols, int64_t row,
                                          int64_t col) {
  using base::DType;
  const int in_panel = static_cast<int>(row % kPanelRows);
  const std::byte* panel = matrix + row / kPanelRows * panel_bytes(kDType, cols);
  if constexpr (kDType == DType::kF32) {
    const std::byte* at = panel + 4 * (in_panel * round_up(cols, 4) + col);
    return fragment_f32(fragment_u16(at) | static_cast<uint32_t>(fragment_u16(at + 2)) << 16);
  } else if constexpr (kDType == DType::kF16 || kDType == DType::kBF16) {
    const std::byte* at =
        panel + half_quad_place(in_panel, col / 4) + col % 4 / 2 * kHalfPieceBytes + col % 2 * 2;
    if constexpr (kDType == DType::kF16) return fragment_f16(at);
    return fragment_f32(static_cast<uint32_t>(fragment_u16(at)) << 16);
  } else {
    constexpr FragmentFormat kFormat = fragment_format(kDType);
    const std::byte* chunk = panel + col / kFormat.columns() * kFormat.chunk_bytes();
    return fragment_quantised<kDType>(chunk, in_panel, static_cast<int>(col % kFormat.columns()));
  }
}

}  // namespace neuros::kernels::cuda
