#include "cuda/packed_weights.h"

#include "base/float16.h"
#include "kernels/blocks.h"
#include "kernels/cuda/fragment_layout.h"

#include <cmath>
#include <cstring>

namespace neuros::bench {
namespace {

using base::DType;
using kernels::cuda::FragmentFormat;
using kernels::cuda::SubScales;

constexpr int kLaneBytes = 16;
constexpr int kWarpBytes = 32 * kLaneBytes;

/// Where in its chunk an element's numbers are.
struct Place {
  int step, half, byte, lane, g, upper;

  Place(int row, int col)
      : step(col / 32),
        half(col % 32 / 16),
        byte(col % 4),
        lane(row % 8 * 4 + col % 16 / 4),
        g(row % 8),
        upper(row % 16 / 8) {}
  int word() const { return 2 * half + upper; }
};

int read_u8(const std::byte* at) {
  return static_cast<int>(*at);
}
int read_i8(const std::byte* at) {
  return static_cast<int8_t>(*at);
}
uint16_t read_u16(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}
double read_f16(const std::byte* at) {
  return base::f16_to_float(read_u16(at));
}

/// `bits` bits of one code in a plane whose bytes hold 8 / bits steps.
int plane_code(const std::byte* plane, int bits, const Place& place) {
  const int steps = 8 / bits;
  const std::byte* at = plane + place.step / steps * kWarpBytes + place.lane * kLaneBytes +
                        place.word() * 4 + place.byte;
  return (read_u8(at) >> (place.step % steps * bits)) & ((1 << bits) - 1);
}

int high_code(const std::byte* plane, const FragmentFormat& format, const Place& place) {
  if (format.high_bits == 0) return 0;
  if (format.high_bits == 2 || format.steps == 8) {
    return plane_code(plane, format.high_bits, place);
  }
  const std::byte* at = plane + place.lane * 8 + place.word() / 2 * 4 + place.byte;
  return (read_u8(at) >> (place.step + 4 * (place.word() % 2))) & 1;
}

double integer_value(const std::byte* chunk, const FragmentFormat& format, const Place& place) {
  const int low = plane_code(chunk + format.low_offset(), format.low_bits, place);
  if (format.lookup) return kernels::kIq4Values[static_cast<size_t>(low)];
  if (format.offset < 0) return static_cast<int8_t>(low);
  const int high = high_code(chunk + format.high_offset(), format, place);
  return (low | (high << format.low_bits)) - format.offset;
}

struct ScaleMinimum {
  double scale, minimum;  ///< value = scale * integer + minimum
};

ScaleMinimum block_scale(const std::byte* chunk, const FragmentFormat& format, const Place& place,
                         int col) {
  if (format.block == 256) {
    const std::byte* at = chunk + place.g * (format.minimum ? 8 : 4) + 2 * place.upper;
    return {read_f16(at), format.minimum ? -read_f16(at + 4) : 0.0};
  }
  const int scales = format.scales();
  const std::byte* at = chunk + (place.g * scales + col / format.block) * 4 + 2 * place.upper;
  return {read_f16(at), format.minimum ? read_f16(at + scales * 32) : 0.0};
}

ScaleMinimum scale_of(const std::byte* chunk, const FragmentFormat& format, const Place& place,
                      int col) {
  ScaleMinimum out = block_scale(chunk, format, place, col);
  if (format.sub_scales == SubScales::kNone) return out;
  const int group = col / format.sub_columns, groups = format.sub_groups();
  const std::byte* sub = chunk + format.scale_bytes();
  const std::byte* pair = sub + (place.g * groups + group) * 2 + place.upper;
  const std::byte* four = sub + (place.g * groups + group) * 4 + place.upper;
  switch (format.sub_scales) {
    case SubScales::kSigned:
      return {out.scale * read_i8(pair), 0.0};
    case SubScales::kMinimum:
      return {out.scale * read_u8(four), out.minimum * read_u8(four + 2)};
    case SubScales::kNibbles:
      return {out.scale * (read_u8(pair) & 15), out.minimum * (read_u8(pair) >> 4)};
    case SubScales::kNone:
      break;
  }
  return out;
}

double plain_value(DType dtype, const std::byte* panel, int64_t panel_bytes, int row, int64_t col) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, panel + row * (panel_bytes / 16) + 4 * col, sizeof(value));
    return value;
  }
  // Chunks of 64 columns, halves of the rows, pieces of 8 places, rows, places.
  const int64_t chunk = col / 64, step = col % 64 / 16, t = col % 16 / 4;
  const int64_t piece = 2 * step + col % 4 / 2, place = 2 * t + col % 2;
  const uint16_t bits =
      read_u16(panel + 2 * (chunk * 1024 + row / 8 * 512 + piece * 64 + row % 8 * 8 + place));
  return dtype == DType::kF16 ? base::f16_to_float(bits) : base::bf16_to_float(bits);
}

void write_u16(std::byte* at, uint16_t bits) {
  std::memcpy(at, &bits, sizeof(bits));
}

/// The scale that makes weights about 0.05.
float typical_scale(const FragmentFormat& format) {
  const double code = format.lookup || format.low_bits == 8
                          ? 64
                          : std::exp2(format.low_bits + format.high_bits - 1) * 0.6;
  const double sub = format.sub_scales == SubScales::kNone      ? 1
                     : format.sub_scales == SubScales::kNibbles ? 8
                     : format.sub_columns == 16                 ? 64
                                                                : 32;
  return static_cast<float>(0.05 / (code * sub));
}

void fill_plain(std::mt19937& engine, DType dtype, std::vector<std::byte>& bytes) {
  std::normal_distribution<float> normal(0.0f, 0.05f);
  const size_t size = dtype == DType::kF32 ? 4 : 2;
  for (size_t at = 0; at < bytes.size(); at += size) {
    const float value = normal(engine);
    if (dtype == DType::kF32) {
      std::memcpy(&bytes[at], &value, sizeof(value));
    } else {
      write_u16(&bytes[at],
                dtype == DType::kF16 ? base::float_to_f16(value) : base::float_to_bf16(value));
    }
  }
}

/// Random bits everywhere, then sane numbers where the chunk has scales.
void fill_chunks(std::mt19937& engine, const FragmentFormat& format,
                 std::vector<std::byte>& bytes) {
  for (size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    const uint32_t word = engine();
    std::memcpy(&bytes[at], &word, sizeof(word));
  }
  std::uniform_real_distribution<float> around(-1.5f, 1.5f);
  const float typical = typical_scale(format);
  const auto chunk_bytes = static_cast<size_t>(format.chunk_bytes());
  for (size_t chunk = 0; chunk < bytes.size(); chunk += chunk_bytes) {
    for (int i = 0; i < format.scale_bytes(); i += 2) {
      write_u16(&bytes[chunk + static_cast<size_t>(i)],
                base::float_to_f16(typical * around(engine)));
    }
    if (format.sub_scales != SubScales::kMinimum) continue;
    for (int i = 0; i < format.sub_bytes(); ++i) {  // six bits
      bytes[chunk + static_cast<size_t>(format.scale_bytes() + i)] &= std::byte{63};
    }
  }
}

}  // namespace

PackedWeights PackedWeights::random(std::mt19937& engine, DType dtype, int64_t rows, int64_t cols) {
  PackedWeights out{dtype, rows, cols, {}};
  const int64_t panels = kernels::cuda::panel_count(rows);
  out.bytes.resize(static_cast<size_t>(panels * kernels::cuda::panel_bytes(dtype, cols)));
  if (base::is_quantised(dtype)) {
    fill_chunks(engine, kernels::cuda::fragment_format(dtype), out.bytes);
  } else {
    fill_plain(engine, dtype, out.bytes);
  }
  return out;
}

std::vector<double> PackedWeights::row(int64_t index) const {
  std::vector<double> out(static_cast<size_t>(cols));
  const int64_t panel_bytes = kernels::cuda::panel_bytes(dtype, cols);
  const std::byte* panel = bytes.data() + index / 16 * panel_bytes;
  const FragmentFormat format = kernels::cuda::fragment_format(dtype);
  const auto in_panel = static_cast<int>(index % 16);
  for (int64_t col = 0; col < cols; ++col) {
    double& value = out[static_cast<size_t>(col)];
    if (format.block == 0) {
      value = plain_value(dtype, panel, panel_bytes, in_panel, col);
      continue;
    }
    const std::byte* chunk = panel + col / format.columns() * format.chunk_bytes();
    const auto in_chunk = static_cast<int>(col % format.columns());
    const Place place(in_panel, in_chunk);
    const ScaleMinimum scale = scale_of(chunk, format, place, in_chunk);
    value = scale.scale * integer_value(chunk, format, place) + scale.minimum;
  }
  return out;
}

}  // namespace neuros::bench
