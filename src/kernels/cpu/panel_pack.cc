#include "kernels/cpu/panel_pack.h"

#include "base/check.h"
#include "base/float16.h"
#include "kernels/block_codes.h"
#include "kernels/blocks.h"
#include "kernels/cpu/panel_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace neuros::kernels::cpu {
namespace {

using base::DType;

uint32_t load_word(const void* bytes) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

void store_word(std::byte* bytes, uint32_t word) {
  std::memcpy(bytes, &word, sizeof(word));
}

constexpr uint32_t bytes_of_ones(int bits) {
  return 0x01010101u * ((1u << bits) - 1u);
}

/// The code vector that part `part` of plane vector `n` holds, for planes of `bits` bits.
constexpr int code_vector(int bits, int n, int part) {
  if (bits == 4) return n + 4 * part;
  return bits == 1 ? part : n * (8 / bits) + part;
}

/// One row's 32 codes, shifted right by `shift`, into a plane of `bits` bits.
template <int bits>
void write_plane(const uint8_t* codes, int shift, std::byte* plane) {
  for (int n = 0; n < bits; ++n) {
    uint32_t word = 0;
    for (int part = 0; part < 8 / bits; ++part) {
      const uint32_t four = load_word(codes + 4 * code_vector(bits, n, part));
      word |= ((four >> shift) & bytes_of_ones(bits)) << (bits * part);
    }
    store_word(plane + 64 * n, word);
  }
}

/// The inverse: or's the plane's bits, shifted left by `shift`, into the codes.
template <int bits>
void read_plane(const std::byte* plane, int shift, uint8_t* codes) {
  for (int n = 0; n < bits; ++n) {
    const uint32_t word = load_word(plane + 64 * n);
    for (int part = 0; part < 8 / bits; ++part) {
      uint8_t* four = codes + 4 * code_vector(bits, n, part);
      const uint32_t value = ((word >> (bits * part)) & bytes_of_ones(bits)) << shift;
      const uint32_t merged = load_word(four) | value;
      std::memcpy(four, &merged, sizeof(merged));
    }
  }
}

template <PanelFormat format>
void write_record_row(const BlockCodes& block, int64_t row, std::byte* header, std::byte* record) {
  std::memcpy(header + 2 * row, &block.d, sizeof(block.d));
  if constexpr (format.header_values == 2) {
    std::memcpy(header + 2 * (kPanelRows + row), &block.m, sizeof(block.m));
  }
  for (int i = 0; i < format.sub_bytes(); ++i) {
    record[kPanelRows * i + row] = std::byte{block.sub[static_cast<size_t>(i)]};
  }
  std::byte* chunk = record + kPanelRows * format.sub_bytes() + 4 * row;
  for (int c = 0; c < format.chunks(); ++c, chunk += format.chunk_bytes()) {
    const uint8_t* codes = block.codes.data() + kChunkColumns * c;
    write_plane<format.low_bits>(codes, 0, chunk);
    if constexpr (format.high_bits != 0) {
      write_plane<format.high_bits>(codes, format.low_bits, chunk + format.low_bytes());
    }
  }
}

template <PanelFormat format>
void read_record_row(const std::byte* header, const std::byte* record, int64_t row,
                     BlockCodes& block) {
  std::memcpy(&block.d, header + 2 * row, sizeof(block.d));
  if constexpr (format.header_values == 2) {
    std::memcpy(&block.m, header + 2 * (kPanelRows + row), sizeof(block.m));
  }
  for (int i = 0; i < format.sub_bytes(); ++i) {
    block.sub[static_cast<size_t>(i)] = std::to_integer<uint8_t>(record[kPanelRows * i + row]);
  }
  std::fill_n(block.codes.begin(), format.columns, uint8_t{0});
  const std::byte* chunk = record + kPanelRows * format.sub_bytes() + 4 * row;
  for (int c = 0; c < format.chunks(); ++c, chunk += format.chunk_bytes()) {
    uint8_t* codes = block.codes.data() + kChunkColumns * c;
    read_plane<format.low_bits>(chunk, 0, codes);
    if constexpr (format.high_bits != 0) {
      read_plane<format.high_bits>(chunk + format.low_bytes(), format.low_bits, codes);
    }
  }
}

template <DType kType>
void pack_quantised_row(const std::byte* source, int64_t cols, int64_t row, std::byte* panel) {
  constexpr PanelFormat format = kPanelFormat<kType>;
  const int64_t block_bytes = base::info(kType).block_bytes;
  std::byte* header = panel;
  std::byte* record = panel + panel_header_bytes(format, cols);
  BlockCodes block;
  for (int64_t i = 0; i < cols / format.columns; ++i) {
    read_block<kType>(source + i * block_bytes, block);
    write_record_row<format>(block, row, header, record);
    header += format.header_bytes();
    record += format.record_bytes();
  }
}

/// Rows of a panel of a plain type. What a row has of a vector is `kUnit` bytes: one f32, one f16
/// or a pair of bf16. Columns go in runs short enough that their part of the panel stays in cache
/// until all rows have written to it.
template <int64_t kUnit>
void pack_plain_panel(const std::byte* source, int64_t row_bytes, int64_t rows, std::byte* panel) {
  constexpr int64_t run = 128 * kUnit;
  for (int64_t start = 0; start < row_bytes; start += run) {
    const int64_t end = std::min(start + run, row_bytes);
    for (int64_t row = 0; row < rows; ++row) {
      const std::byte* from = source + row * row_bytes;
      std::byte* to = panel + row * kUnit;
      int64_t at = start;
      for (; at + kUnit <= end; at += kUnit) std::memcpy(to + at * kPanelRows, from + at, kUnit);
      std::memcpy(to + at * kPanelRows, from + at, static_cast<size_t>(end - at));
    }
  }
}

template <DType kType>
void pack_panel(const std::byte* source, int64_t rows, int64_t cols, std::byte* panel) {
  const int64_t row_bytes = base::bytes_of(kType, cols);
  if constexpr (kPanelFormat<kType>.columns == 0) {
    pack_plain_panel<kType == DType::kF16 ? 2 : 4>(source, row_bytes, rows, panel);
  } else {
    for (int64_t row = 0; row < rows; ++row) {
      pack_quantised_row<kType>(source + row * row_bytes, cols, row, panel);
    }
  }
}

template <DType kType>
void pack(const std::byte* source, int64_t rows, int64_t cols, int64_t first, int64_t count,
          std::byte* packed) {
  if (count == 0) return;
  CHECK(first % kPanelRows == 0 && first + count <= rows);
  CHECK(count % kPanelRows == 0 || first + count == rows);
  const int64_t bytes = panel_bytes(kType, cols);
  const int64_t row_bytes = base::bytes_of(kType, cols);
  for (int64_t row = 0; row < count; row += kPanelRows) {
    std::byte* panel = packed + (first + row) / kPanelRows * bytes;
    std::memset(panel, 0, static_cast<size_t>(bytes));
    pack_panel<kType>(source + row * row_bytes, std::min(kPanelRows, count - row), cols, panel);
  }
}

template <DType kType>
int64_t packed_bytes(int64_t rows, int64_t cols) {
  return panel_count(rows) * panel_bytes(kType, cols);
}

/// d * (code - offset), with sub-scales d * s * (code - offset), with minima less or plus m; each
/// product rounded as the format's definition has it.
template <PanelFormat format>
void block_values(const BlockCodes& block, float* out) {
  const float d = base::f16_to_float(block.d);
  const float m = format.header_values == 2 ? base::f16_to_float(block.m) : 0.0f;
  for (int k = 0; k < format.columns; ++k) {
    const int code = block.codes[static_cast<size_t>(k)];
    const int level = format.lookup ? kIq4Values[static_cast<size_t>(code)] : code - format.offset;
    const auto value = static_cast<float>(level);
    if constexpr (format.sub_scales == SubScales::kNone) {
      out[k] = format.header_values == 2 ? d * value + m : d * value;
    } else {
      const auto group = static_cast<size_t>(k / format.sub_columns);
      const uint8_t sub = block.sub[group];
      if constexpr (format.sub_scales == SubScales::kSigned) {
        out[k] = d * static_cast<float>(static_cast<int8_t>(sub)) * value;
      } else if constexpr (format.sub_scales == SubScales::kMinimum) {
        const uint8_t minimum = block.sub[group + static_cast<size_t>(format.sub_groups())];
        out[k] = d * static_cast<float>(sub) * value - m * static_cast<float>(minimum);
      } else {
        out[k] = d * static_cast<float>(sub & 15) * value - m * static_cast<float>(sub >> 4);
      }
    }
  }
}

template <DType kType>
void unpack_quantised(const std::byte* panel, int64_t cols, int64_t row, float* out) {
  constexpr PanelFormat format = kPanelFormat<kType>;
  const std::byte* record = panel + panel_header_bytes(format, cols);
  BlockCodes block;
  for (int64_t k = 0; k < cols; k += format.columns) {
    read_record_row<format>(panel, record, row, block);
    block_values<format>(block, out + k);
    panel += format.header_bytes();
    record += format.record_bytes();
  }
}

template <DType kType>
void unpack_plain(const std::byte* panel, int64_t cols, int64_t row, float* out) {
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t slot =
        kType == DType::kBF16 ? (k / 2 * kPanelRows + row) * 2 + k % 2 : k * kPanelRows + row;
    if constexpr (kType == DType::kF32) {
      std::memcpy(out + k, panel + 4 * slot, sizeof(float));
    } else {
      uint16_t bits = 0;
      std::memcpy(&bits, panel + 2 * slot, sizeof(bits));
      out[k] = kType == DType::kF16 ? base::f16_to_float(bits) : base::bf16_to_float(bits);
    }
  }
}

template <DType kType>
void unpack(const std::byte* panel, int64_t cols, int64_t row, float* out) {
  if constexpr (kPanelFormat<kType>.columns == 0) {
    unpack_plain<kType>(panel, cols, row, out);
  } else {
    unpack_quantised<kType>(panel, cols, row, out);
  }
}

struct Functions {
  PackFn pack;
  PackedBytesFn packed_bytes;
  void (*unpack)(const std::byte* panel, int64_t cols, int64_t row, float* out);
};

template <size_t... i>
constexpr std::array<Functions, sizeof...(i)> make_table(std::index_sequence<i...>) {
  return {Functions{pack<static_cast<DType>(i)>, packed_bytes<static_cast<DType>(i)>,
                    unpack<static_cast<DType>(i)>}...};
}
constexpr auto kTable = make_table(std::make_index_sequence<base::kWeightDTypeCount>());

const Functions& functions(DType dtype) {
  return kTable.at(static_cast<size_t>(dtype));
}

}  // namespace

PackFn pack_function(DType dtype) {
  return functions(dtype).pack;
}

PackedBytesFn packed_bytes_function(DType dtype) {
  return functions(dtype).packed_bytes;
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  CHECK(row >= 0 && row < matrix.rows);
  const int64_t bytes = panel_bytes(matrix.dtype, matrix.cols);
  functions(matrix.dtype)
      .unpack(matrix.data + row / kPanelRows * bytes, matrix.cols, row % kPanelRows, out);
}

}  // namespace neuros::kernels::cpu
