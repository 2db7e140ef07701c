#include "device/cpu/instruction_rates.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace neuros::device {
namespace {

/// Twelve independent accumulators hide the latency of every instruction measured here.
constexpr int kChains = 12;

#if defined(__x86_64__)

#define NEUROS_TARGET(features) __attribute__((target(features)))

/// Keeps the compiler from folding the loop: the accumulators pass through it opaquely.
#define NEUROS_CHAIN(operation)                                                            \
  __asm__ volatile(operation "\n\t"                                                        \
                   : "+v"(sum[0]), "+v"(sum[1]), "+v"(sum[2]), "+v"(sum[3]), "+v"(sum[4]), \
                     "+v"(sum[5]), "+v"(sum[6]), "+v"(sum[7]), "+v"(sum[8]), "+v"(sum[9]), \
                     "+v"(sum[10]), "+v"(sum[11])                                          \
                   : "v"(a), "v"(b))

#define NEUROS_TWELVE(name)                                                       \
  name " %12, %13, %0\n\t" name " %12, %13, %1\n\t" name " %12, %13, %2\n\t" name \
       " %12, %13, %3\n\t" name " %12, %13, %4\n\t" name " %12, %13, %5\n\t" name \
       " %12, %13, %6\n\t" name " %12, %13, %7\n\t" name " %12, %13, %8\n\t" name \
       " %12, %13, %9\n\t" name " %12, %13, %10\n\t" name " %12, %13, %11"

NEUROS_TARGET("avx512f") void fma_512(int64_t rounds) {
  __m512 sum[kChains];
  for (auto& s : sum) s = _mm512_setzero_ps();
  const __m512 a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < rounds; ++i) NEUROS_CHAIN(NEUROS_TWELVE("vfmadd231ps"));
}

NEUROS_TARGET("avx2,fma") void fma_256(int64_t rounds) {
  __m256 sum[kChains];
  for (auto& s : sum) s = _mm256_setzero_ps();
  const __m256 a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < rounds; ++i) NEUROS_CHAIN(NEUROS_TWELVE("vfmadd231ps"));
}

NEUROS_TARGET("avx512f,avx512vnni") void dot_int8_512(int64_t rounds) {
  __m512i sum[kChains];
  for (auto& s : sum) s = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int64_t i = 0; i < rounds; ++i) NEUROS_CHAIN(NEUROS_TWELVE("vpdpbusd"));
}

NEUROS_TARGET("avx512f,avx512bf16") void dot_bf16_512(int64_t rounds) {
  __m512 sum[kChains];
  for (auto& s : sum) s = _mm512_setzero_ps();
  const __m512i a = _mm512_set1_epi16(0x3f80), b = _mm512_set1_epi16(0x3f00);
  for (int64_t i = 0; i < rounds; ++i) NEUROS_CHAIN(NEUROS_TWELVE("vdpbf16ps"));
}

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// Eight full tiles: four accumulators, two operands each way.
void load_tile_config() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/// One round is eight tile products. Tiles 0-3 accumulate, 4-7 hold zeros.
#define NEUROS_AMX_ROUNDS(name)                                                                 \
  load_tile_config();                                                                           \
  __asm__ volatile(                                                                             \
      "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"            \
      "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7" ::             \
          : "memory");                                                                          \
  for (int64_t i = 0; i < rounds; ++i) {                                                        \
    __asm__ volatile(name " %%tmm6, %%tmm4, %%tmm0\n\t" name " %%tmm7, %%tmm4, %%tmm1\n\t" name \
                          " %%tmm6, %%tmm5, %%tmm2\n\t" name " %%tmm7, %%tmm5, %%tmm3\n\t" name \
                          " %%tmm6, %%tmm4, %%tmm0\n\t" name " %%tmm7, %%tmm4, %%tmm1\n\t" name \
                          " %%tmm6, %%tmm5, %%tmm2\n\t" name " %%tmm7, %%tmm5, %%tmm3" ::       \
                              : "memory");                                                      \
  }                                                                                             \
  __asm__ volatile("tilerelease" ::: "memory")

void tiles_int8(int64_t rounds) {
  NEUROS_AMX_ROUNDS("tdpbusd");
}
void tiles_bf16(int64_t rounds) {
  NEUROS_AMX_ROUNDS("tdpbf16ps");
}

NEUROS_TARGET("avx512f") uint64_t read_512(const std::byte* data, int64_t bytes) {
  __m512i sum[4];
  for (auto& s : sum) s = _mm512_setzero_si512();
  for (int64_t at = 0; at + 256 <= bytes; at += 256) {
    for (int i = 0; i < 4; ++i) {
      sum[i] = _mm512_xor_si512(sum[i], _mm512_loadu_si512(data + at + 64 * i));
    }
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 4096), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 4096 + 128), _MM_HINT_T0);
  }
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(
      lanes, _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3])));
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3] ^ lanes[4] ^ lanes[5] ^ lanes[6] ^ lanes[7];
}

NEUROS_TARGET("avx2") uint64_t read_256(const std::byte* data, int64_t bytes) {
  __m256i sum[4];
  for (auto& s : sum) s = _mm256_setzero_si256();
  for (int64_t at = 0; at + 128 <= bytes; at += 128) {
    for (int i = 0; i < 4; ++i) {
      const auto* from = reinterpret_cast<const __m256i*>(data + at + 32 * i);
      sum[i] = _mm256_xor_si256(sum[i], _mm256_loadu_si256(from));
    }
  }
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(lanes),
      _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3])));
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

#endif  // __x86_64__

uint64_t read_64(const std::byte* data, int64_t bytes) {
  uint64_t sum = 0;
  for (int64_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, data + at, sizeof(word));
    sum ^= word;
  }
  return sum;
}

}  // namespace

#if defined(__x86_64__)

InstructionLoop f32_loop(const base::CpuFeatures& features) {
  if (features.level >= base::CpuLevel::kAvx512) return {fma_512, kChains * 16 * 2.0};
  if (features.level >= base::CpuLevel::kAvx2) return {fma_256, kChains * 8 * 2.0};
  return {};
}

InstructionLoop bf16_loop(const base::CpuFeatures& features) {
  if (features.level >= base::CpuLevel::kAmx) return {tiles_bf16, 8 * 16.0 * 16 * 32 * 2};
  if (features.avx512_bf16) return {dot_bf16_512, kChains * 32 * 2.0};
  return {};
}

InstructionLoop int8_loop(const base::CpuFeatures& features) {
  if (features.level >= base::CpuLevel::kAmx) return {tiles_int8, 8 * 16.0 * 16 * 64 * 2};
  if (features.level >= base::CpuLevel::kVnni) return {dot_int8_512, kChains * 64 * 2.0};
  return {};
}

uint64_t stream_read(const base::CpuFeatures& features, const std::byte* data, int64_t bytes) {
  if (features.level >= base::CpuLevel::kAvx512) return read_512(data, bytes);
  if (features.level >= base::CpuLevel::kAvx2) return read_256(data, bytes);
  return read_64(data, bytes);
}

#else

InstructionLoop f32_loop(const base::CpuFeatures&) {
  return {};
}
InstructionLoop bf16_loop(const base::CpuFeatures&) {
  return {};
}
InstructionLoop int8_loop(const base::CpuFeatures&) {
  return {};
}

uint64_t stream_read(const base::CpuFeatures&, const std::byte* data, int64_t bytes) {
  return read_64(data, bytes);
}

#endif

}  // namespace neuros::device
