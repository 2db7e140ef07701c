#pragma once

/// AMX tile registers. The instructions are written out: GCC 12's intrinsics tell the compiler
/// neither which memory they read nor which they write.

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cpu {

/// Shapes of the eight tiles, as LDTILECFG reads them (Intel SDM, "LDTILECFG"): palette 1.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t column_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void set(int tile, int tile_rows, int bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    column_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

#if defined(__x86_64__)

/// The processor's own tiles. Between configure() and release() a thread owns the shapes.
struct HardwareTiles {
  static void configure(const TileShapes& shapes) {
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }
  static void release() { __asm__ volatile("tilerelease" : : : "memory"); }

  template <int tile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  /// Rows of the tile from memory, `stride` bytes apart.
  template <int tile>
  static void load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0"
                     :
                     : "i"(tile), "r"(from), "r"(stride)
                     : "memory");
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)"
                     :
                     : "i"(tile), "r"(to), "r"(stride)
                     : "memory");
  }
  /// c[m][n] += sum over k of a[m][k] * b[k / 4][n][k % 4], int8 into int32.
  template <int c, int a, int b>
  static void dot_int8() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
  /// c[m][n] += sum over k of a[m][k] * b[k / 2][n][k % 2], bf16 into f32.
  template <int c, int a, int b>
  static void dot_bf16() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

#endif

}  // namespace neuros::kernels::cpu
