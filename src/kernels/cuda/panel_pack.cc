#include "kernels/cuda/panel_pack.h"

#include "base/check.h"
#include "base/float16.h"
#include "kernels/block_codes.h"
#include "kernels/blocks.h"
#include "kernels/cuda/fragment_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

constexpr int64_t kPackedAlignment = 64;

/// One row's part of a chunk, block by block.
template <FragmentFormat format>
struct ChunkRow {
  std::array<BlockCodes, static_cast<size_t>(format.scales())> blocks;

  /// The 32 codes of a step.
  uint8_t* codes(int step) {
    constexpr int kSteps = format.block / kStepColumns;
    return blocks[static_cast<size_t>(step / kSteps)].codes.data() + step % kSteps * kStepColumns;
  }
};

/// Where a row's parts of a chunk are. Rows g and g + 8 lie side by side.
template <FragmentFormat format>
struct RowPlace {
  int g, half;

  explicit RowPlace(int64_t row) : g(static_cast<int>(row) % 8), half(static_cast<int>(row) / 8) {}

  /// f16; `array` 0: d, 1: m.
  int scale(int index, int array) const {
    if (format.block == 256) return (g * (format.minimum ? 2 : 1) + array) * 4 + half * 2;
    return array * format.scales() * kPanelRows * 2 + (g * format.scales() + index) * 4 + half * 2;
  }
  /// A byte; `array` 1: the minimum beside it.
  int sub_scale(int group, int array) const {
    const int bytes = format.sub_scales == SubScales::kMinimum ? 4 : 2;
    return format.scale_bytes() + (g * format.sub_groups() + group) * bytes + 2 * array + half;
  }
  /// Four bytes of a plane whose lanes have 16: those of columns 16 k + 4 t of the row.
  int word(int plane_row, int k, int t) const {
    return plane_row * kLanes * 16 + (4 * g + t) * 16 + (2 * k + half) * 4;
  }
};

/// The rows' codes of a plane with `bits` bits, `8 / bits` steps in a byte.
template <int bits, FragmentFormat format>
void write_plane(ChunkRow<format>& row, int shift, RowPlace<format> place, std::byte* plane) {
  constexpr int kSteps = 8 / bits;
  for (int n = 0; n < format.steps / kSteps; ++n) {
    alignas(16) std::array<uint8_t, kStepColumns> bytes{};
    for (int j = 0; j < kSteps; ++j) {
      const uint8_t* codes = row.codes(n * kSteps + j);
      for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] |= static_cast<uint8_t>(((codes[i] >> shift) & ((1 << bits) - 1)) << (bits * j));
      }
    }
    for (int k = 0; k < 2; ++k) {
      for (int t = 0; t < 4; ++t) {
        std::memcpy(plane + place.word(n, k, t), bytes.data() + 16 * k + 4 * t, 4);
      }
    }
  }
}

/// The inverse: or's the bits into the codes.
template <int bits, FragmentFormat format>
void read_plane(const std::byte* plane, int shift, RowPlace<format> place, ChunkRow<format>& row) {
  constexpr int kSteps = 8 / bits;
  for (int n = 0; n < format.steps / kSteps; ++n) {
    std::array<uint8_t, kStepColumns> bytes{};
    for (int k = 0; k < 2; ++k) {
      for (int t = 0; t < 4; ++t) {
        std::memcpy(bytes.data() + 16 * k + 4 * t, plane + place.word(n, k, t), 4);
      }
    }
    for (int j = 0; j < kSteps; ++j) {
      uint8_t* codes = row.codes(n * kSteps + j);
      for (size_t i = 0; i < bytes.size(); ++i) {
        codes[i] |= static_cast<uint8_t>(((bytes[i] >> (bits * j)) & ((1 << bits) - 1)) << shift);
      }
    }
  }
}

/// The plane of 1 bit and 4 steps, where rows g and g + 8 share a byte: nibble `half` is the row's.
/// Byte `at` of the 32 columns of a step is in word at / 16 of lane 4 g + at % 16 / 4.
template <FragmentFormat format>
int shared_byte(RowPlace<format> place, int at) {
  return (4 * place.g + at % 16 / 4) * 8 + at / 16 * 4 + at % 4;
}

template <FragmentFormat format>
void write_shared_plane(ChunkRow<format>& row, int shift, RowPlace<format> place,
                        std::byte* plane) {
  alignas(16) std::array<uint8_t, kStepColumns> bytes{};
  for (int j = 0; j < 4; ++j) {
    const uint8_t* codes = row.codes(j);
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] |= static_cast<uint8_t>(((codes[i] >> shift) & 1) << j);
    }
  }
  for (int at = 0; at < kStepColumns; at += 4) {
    std::byte* to = plane + shared_byte(place, at);
    uint32_t old = 0, word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    if (place.half == 1) std::memcpy(&old, to, sizeof(old));
    word = (old & 0x0f0f0f0fu) | (word << (4 * place.half));
    std::memcpy(to, &word, sizeof(word));
  }
}

template <FragmentFormat format>
void read_shared_plane(const std::byte* plane, int shift, RowPlace<format> place,
                       ChunkRow<format>& row) {
  for (int j = 0; j < 4; ++j) {
    for (int at = 0; at < kStepColumns; ++at) {
      const auto byte = std::to_integer<int>(plane[shared_byte(place, at)]);
      row.codes(j)[at] |= static_cast<uint8_t>(((byte >> (4 * place.half + j)) & 1) << shift);
    }
  }
}

template <FragmentFormat format>
constexpr bool kSignedBytes = format.offset == -1 && !format.lookup;

template <FragmentFormat format>
constexpr bool kSharedHighPlane = format.high_bits == 1 && format.steps == 4;

template <FragmentFormat format>
void write_chunk_row(ChunkRow<format>& row, RowPlace<format> place, std::byte* chunk) {
  for (int i = 0; i < format.scales(); ++i) {
    const BlockCodes& block = row.blocks[static_cast<size_t>(i)];
    std::memcpy(chunk + place.scale(i, 0), &block.d, sizeof(block.d));
    if (format.minimum) std::memcpy(chunk + place.scale(i, 1), &block.m, sizeof(block.m));
  }
  for (int i = 0; i < format.sub_groups(); ++i) {
    const auto& sub = row.blocks[0].sub;
    chunk[place.sub_scale(i, 0)] = std::byte{sub[static_cast<size_t>(i)]};
    if (format.sub_scales == SubScales::kMinimum) {
      chunk[place.sub_scale(i, 1)] = std::byte{sub[static_cast<size_t>(i + format.sub_groups())]};
    }
  }
  write_plane<format.low_bits>(row, 0, place, chunk + format.low_offset());
  std::byte* high = chunk + format.high_offset();
  if constexpr (kSharedHighPlane<format>) {
    write_shared_plane(row, format.low_bits, place, high);
  } else if constexpr (format.high_bits != 0) {
    write_plane<format.high_bits>(row, format.low_bits, place, high);
  }
}

template <FragmentFormat format>
void read_chunk_row(const std::byte* chunk, RowPlace<format> place, ChunkRow<format>& row) {
  for (int i = 0; i < format.scales(); ++i) {
    BlockCodes& block = row.blocks[static_cast<size_t>(i)];
    block.codes.fill(0);
    std::memcpy(&block.d, chunk + place.scale(i, 0), sizeof(block.d));
    if (format.minimum) std::memcpy(&block.m, chunk + place.scale(i, 1), sizeof(block.m));
  }
  for (int i = 0; i < format.sub_groups(); ++i) {
    auto& sub = row.blocks[0].sub;
    sub[static_cast<size_t>(i)] = std::to_integer<uint8_t>(chunk[place.sub_scale(i, 0)]);
    if (format.sub_scales == SubScales::kMinimum) {
      sub[static_cast<size_t>(i + format.sub_groups())] =
          std::to_integer<uint8_t>(chunk[place.sub_scale(i, 1)]);
    }
  }
  read_plane<format.low_bits>(chunk + format.low_offset(), 0, place, row);
  const std::byte* high = chunk + format.high_offset();
  if constexpr (kSharedHighPlane<format>) {
    read_shared_plane(high, format.low_bits, place, row);
  } else if constexpr (format.high_bits != 0) {
    read_plane<format.high_bits>(high, format.low_bits, place, row);
  }
}

/// Chunk by chunk, so that what the 16 rows write together stays in the first-level cache.
template <DType kType>
void pack_quantised_panel(const std::byte* source, int64_t rows, int64_t cols, std::byte* panel) {
  constexpr FragmentFormat format = fragment_format(kType);
  const int64_t block_bytes = base::info(kType).block_bytes;
  const int64_t row_bytes = base::bytes_of(kType, cols);
  ChunkRow<format> row{};
  for (int64_t column = 0; column < cols; column += format.columns()) {
    const int64_t first = column / format.block;
    const int64_t blocks = std::min<int64_t>(format.scales(), cols / format.block - first);
    if (blocks < format.scales()) row = {};
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < blocks; ++i) {
        BlockCodes& block = row.blocks[static_cast<size_t>(i)];
        read_block<kType>(source + r * row_bytes + (first + i) * block_bytes, block);
        if constexpr (kSignedBytes<format>) {
          for (size_t c = 0; c < kStepColumns; ++c) block.codes[c] ^= 0x80;
        }
      }
      write_chunk_row<format>(row, RowPlace<format>(r), panel);
    }
    panel += format.chunk_bytes();
  }
}

/// Step by step, so that what the 16 rows write together stays in the first-level cache.
void pack_halves_panel(const std::byte* source, int64_t rows, int64_t cols, std::byte* panel) {
  const auto copy = [&](int64_t row, int64_t column, size_t columns) {
    std::array<uint32_t, 2> quad{};
    std::memcpy(quad.data(), source + (row * cols + column) * 2, columns * 2);
    std::byte* to = panel + half_quad_place(row, column / 4);
    std::memcpy(to, quad.data(), 4);
    std::memcpy(to + kHalfPieceBytes, quad.data() + 1, 4);
  };
  int64_t column = 0;
  for (; column + 16 <= cols; column += 16) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t quad = 0; quad < 16; quad += 4) copy(row, column + quad, 4);
    }
  }
  for (; column < cols; column += 4) {
    const auto left = static_cast<size_t>(std::min<int64_t>(4, cols - column));
    for (int64_t row = 0; row < rows; ++row) copy(row, column, left);
  }
}

void pack_floats_panel(const std::byte* source, int64_t rows, int64_t cols, std::byte* panel) {
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(panel + row * round_up(cols, 4) * 4, source + row * cols * 4,
                static_cast<size_t>(cols * 4));
  }
}

template <DType kType>
void pack_panel(const std::byte* source, int64_t rows, int64_t cols, std::byte* panel) {
  if constexpr (kType == DType::kF32) {
    pack_floats_panel(source, rows, cols, panel);
  } else if constexpr (fragment_format(kType).block == 0) {
    pack_halves_panel(source, rows, cols, panel);
  } else {
    pack_quantised_panel<kType>(source, rows, cols, panel);
  }
}

template <DType kType>
int64_t packed_bytes(int64_t rows, int64_t cols) {
  return round_up(panel_count(rows) * panel_bytes(kType, cols), kPackedAlignment);
}

template <DType kType>
void pack(const std::byte* source, int64_t rows, int64_t cols, int64_t first, int64_t count,
          std::byte* packed) {
  if (count == 0) return;
  CHECK(first % kPanelRows == 0 && first + count <= rows);
  CHECK(count % kPanelRows == 0 || first + count == rows);
  const int64_t bytes = panel_bytes(kType, cols);
  const int64_t row_bytes = base::bytes_of(kType, cols);
  const bool columns_fill_chunks =
      fragment_format(kType).block != 0 || cols % kHalfChunkColumns == 0;
  for (int64_t row = 0; row < count; row += kPanelRows) {
    std::byte* panel = packed + (first + row) / kPanelRows * bytes;
    const int64_t panel_rows = std::min<int64_t>(kPanelRows, count - row);
    if (panel_rows < kPanelRows || !columns_fill_chunks) {
      std::memset(panel, 0, static_cast<size_t>(bytes));
    }
    pack_panel<kType>(source + row * row_bytes, panel_rows, cols, panel);
  }
  if (first + count == rows) {
    const int64_t end = panel_count(rows) * bytes;
    std::memset(packed + end, 0, static_cast<size_t>(packed_bytes<kType>(rows, cols) - end));
  }
}

/// d * (code - offset), with sub-scales d * s * (code - offset), with minima less or plus m; each
/// product rounded as the format's definition has it.
template <FragmentFormat format>
void block_values(const BlockCodes& block, float* out) {
  const float d = base::f16_to_float(block.d);
  const float m = format.minimum ? base::f16_to_float(block.m) : 0.0f;
  for (int k = 0; k < format.block; ++k) {
    const uint8_t code = block.codes[static_cast<size_t>(k)];
    const int level = format.lookup          ? kIq4Values[code]
                      : kSignedBytes<format> ? static_cast<int8_t>(code)
                                             : code - format.offset;
    const auto value = static_cast<float>(level);
    if constexpr (format.sub_scales == SubScales::kNone) {
      out[k] = format.minimum ? d * value + m : d * value;
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
  constexpr FragmentFormat format = fragment_format(kType);
  ChunkRow<format> parts;
  for (int64_t block = 0; block < cols / format.block; ++block) {
    const int64_t in_chunk = block % format.scales();
    if (in_chunk == 0) {
      read_chunk_row<format>(panel, RowPlace<format>(row), parts);
      panel += format.chunk_bytes();
    }
    block_values<format>(parts.blocks[static_cast<size_t>(in_chunk)], out + block * format.block);
  }
}

template <DType kType>
void unpack_halves(const std::byte* panel, int64_t cols, int64_t row, float* out) {
  for (int64_t k = 0; k < cols; ++k) {
    uint16_t bits = 0;
    const std::byte* quad = panel + half_quad_place(row, k / 4);
    std::memcpy(&bits, quad + k % 4 / 2 * kHalfPieceBytes + k % 2 * 2, sizeof(bits));
    out[k] = kType == DType::kF16 ? base::f16_to_float(bits) : base::bf16_to_float(bits);
  }
}

template <DType kType>
void unpack(const std::byte* panel, int64_t cols, int64_t row, float* out) {
  if constexpr (kType == DType::kF32) {
    std::memcpy(out, panel + row * round_up(cols, 4) * 4, static_cast<size_t>(cols) * 4);
  } else if constexpr (fragment_format(kType).block == 0) {
    unpack_halves<kType>(panel, cols, row, out);
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

}  // namespace neuros::kernels::cuda
