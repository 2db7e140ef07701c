#include "device/cuda/matrix_rate.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace neuros::device {
namespace {

constexpr int kGroups = 2;               // warp groups of a block
constexpr int kThreads = 128 * kGroups;  // of a block
constexpr int kRowsA = 64, kColsB = 256;
/// One instruction's depth in bytes is that of every type.
constexpr int kDepthBytes = 32;
/// A of each group and B, without swizzle: 8x8 cores of 128 bytes.
constexpr int kBytesA = kRowsA * kDepthBytes, kBytesB = kColsB * kDepthBytes;

constexpr int element_bytes(MatrixType type) {
  if (type == MatrixType::kTF32) return 4;
  return type == MatrixType::kFP8 || type == MatrixType::kInt8 ? 1 : 2;
}

template <MatrixType type>
using Sum = std::conditional_t<type == MatrixType::kInt8, int32_t, float>;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Shared-memory matrix descriptor (PTX ISA, "Matrix descriptor format"): no swizzle, K-major;
/// cores follow one another along K, then along rows.
__device__ uint64_t descriptor(const void* at) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(at));
  const uint64_t along_k = 128 >> 4, along_rows = 256 >> 4;
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | along_k << 16 | along_rows << 32;
}

/// sums[64 x 256] += A[64 x 32 bytes] B[32 bytes x 256], 128 sums a thread. `scales` are the
/// operands of its kind of type after the one that says to add.
#define NEUROS_FOUR(kind, i) kind(s[i]), kind(s[i + 1]), kind(s[i + 2]), kind(s[i + 3])
#define NEUROS_SIXTEEN(kind, i)                                             \
  NEUROS_FOUR(kind, i), NEUROS_FOUR(kind, i + 4), NEUROS_FOUR(kind, i + 8), \
      NEUROS_FOUR(kind, i + 12)
#define NEUROS_WGMMA(shape_and_types, scales, kind)                                            \
  asm volatile("wgmma.mma_async.sync.aligned." shape_and_types                                 \
               " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                      \
               "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"              \
               "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"              \
               "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"              \
               "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"              \
               "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"              \
               "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"  \
               "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,"   \
               "%127}, %128, %129, 1" scales ";"                                               \
               : NEUROS_SIXTEEN(kind, 0), NEUROS_SIXTEEN(kind, 16), NEUROS_SIXTEEN(kind, 32),  \
                 NEUROS_SIXTEEN(kind, 48), NEUROS_SIXTEEN(kind, 64), NEUROS_SIXTEEN(kind, 80), \
                 NEUROS_SIXTEEN(kind, 96), NEUROS_SIXTEEN(kind, 112)                           \
               : "l"(a), "l"(b))

template <MatrixType type>
__device__ void multiply(Sum<type> (&s)[128], uint64_t a, uint64_t b) {
  if constexpr (type == MatrixType::kF16) {
    NEUROS_WGMMA("m64n256k16.f32.f16.f16", ", 1, 1, 0, 0", "+f");
  } else if constexpr (type == MatrixType::kBF16) {
    NEUROS_WGMMA("m64n256k16.f32.bf16.bf16", ", 1, 1, 0, 0", "+f");
  } else if constexpr (type == MatrixType::kTF32) {
    NEUROS_WGMMA("m64n256k8.f32.tf32.tf32", ", 1, 1", "+f");
  } else if constexpr (type == MatrixType::kFP8) {
    NEUROS_WGMMA("m64n256k32.f32.e4m3.e4m3", ", 1, 1", "+f");
  } else {
    NEUROS_WGMMA("m64n256k32.s32.s8.s8", "", "+r");
  }
}
#undef NEUROS_WGMMA
#undef NEUROS_SIXTEEN
#undef NEUROS_FOUR

template <MatrixType type>
__device__ float load(std::byte* shared, int repeats) {
  Sum<type> sums[128] = {};
  const int group = static_cast<int>(threadIdx.x) / 128;
  const uint64_t a = descriptor(shared + group * kBytesA);
  const uint64_t b = descriptor(shared + kGroups * kBytesA);
  for (int i = 0; i < repeats; i += 4) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int j = 0; j < 4; ++j) multiply<type>(sums, a, b);
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  float total = 0.0f;
  for (const Sum<type> sum : sums) total += static_cast<float>(sum);
  return total;
}

#else

/// The same work by mma.sync: each of a group's four warps has 16 rows; sums in flight.
constexpr int kTilesB = 8;

#if __CUDA_ARCH__ >= 800

/// sums[16 x 8] += A[16 x 32 bytes] B[32 bytes x 8].
#define NEUROS_MMA(shape_and_types, kind)                       \
  asm volatile("mma.sync.aligned." shape_and_types              \
               " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%4,%5}, "       \
               "{%0,%1,%2,%3};"                                 \
               : kind(s[0]), kind(s[1]), kind(s[2]), kind(s[3]) \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]))

template <MatrixType type>
__device__ void multiply(Sum<type> (&s)[4], const uint32_t (&a)[4]) {
  if constexpr (type == MatrixType::kF16) {
    NEUROS_MMA("m16n8k16.row.col.f32.f16.f16.f32", "+f");
  } else if constexpr (type == MatrixType::kBF16) {
    NEUROS_MMA("m16n8k16.row.col.f32.bf16.bf16.f32", "+f");
  } else if constexpr (type == MatrixType::kTF32) {
    NEUROS_MMA("m16n8k8.row.col.f32.tf32.tf32.f32", "+f");
  } else if constexpr (type == MatrixType::kInt8) {
    NEUROS_MMA("m16n8k32.row.col.s32.s8.s8.s32", "+r");
  } else {
#if __CUDA_ARCH__ >= 890
    NEUROS_MMA("m16n8k32.row.col.f32.e4m3.e4m3.f32", "+f");
#endif
  }
}
#undef NEUROS_MMA

#else

/// Turing's instructions are smaller: two of f16, or four of int8, are the same work.
template <MatrixType type>
__device__ void multiply(Sum<type> (&s)[4], const uint32_t (&a)[4]) {
  if constexpr (type == MatrixType::kF16) {
    for (int half = 0; half < 2; ++half) {
      asm volatile(
          "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%4}, "
          "{%0,%1,%2,%3};"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
          : "r"(a[2 * half]), "r"(a[2 * half + 1]));
    }
  } else if constexpr (type == MatrixType::kInt8) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      int32_t* const two = s + quarter % 2 * 2;
      asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%2}, {%0,%1};"
                   : "+r"(two[0]), "+r"(two[1])
                   : "r"(a[quarter]));
    }
  }
}

#endif

template <MatrixType type>
__device__ float load(std::byte* shared, int repeats) {
  Sum<type> sums[kTilesB][4] = {};
  const auto* words = reinterpret_cast<const uint32_t*>(shared) + threadIdx.x;
  const uint32_t a[4] = {words[0], words[256], words[512], words[768]};
  for (int i = 0; i < repeats * (kColsB / 8 / kTilesB); ++i) {
    for (auto& s : sums) multiply<type>(s, a);
  }
  float total = 0.0f;
  for (const auto& s : sums) {
    for (const Sum<type> sum : s) total += static_cast<float>(sum);
  }
  return total;
}

#endif

/// Random numbers of the type between 2^-7 and 2: chips run faster, and draw less, on zeros.
template <MatrixType type>
__device__ uint32_t random_word(uint32_t seed) {
  seed = seed * 2654435761u + 12345u;
  seed ^= seed >> 15;
  seed *= 2246822519u;
  if constexpr (type == MatrixType::kInt8) return seed;
  if constexpr (type == MatrixType::kFP8) return (seed & 0x8f8f8f8fu) | 0x30303030u;
  if constexpr (type == MatrixType::kTF32) return (seed & 0x80ffffffu) | 0x3f000000u;
  return (seed & 0x83ff83ffu) | 0x3c003c00u;
}

template <MatrixType type>
__global__ void __launch_bounds__(kThreads) matrix_load(int repeats, float* out) {
  __shared__ alignas(1024) std::byte shared[kGroups * kBytesA + kBytesB];
  auto* words = reinterpret_cast<uint32_t*>(shared);
  for (unsigned i = threadIdx.x; i < sizeof(shared) / 4; i += kThreads) {
    words[i] = random_word<type>(i);
  }
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  __syncthreads();
  const float total = load<type>(shared, repeats);
  if (total == 12345.678f) *out = total;  // keeps the sums alive
}

template <MatrixType type>
void launch(int multiprocessors, int repeats, cudaStream_t stream) {
  matrix_load<type><<<multiprocessors, kThreads, 0, stream>>>(repeats, nullptr);
}

}  // namespace

cudaError_t launch_matrix_load(MatrixType type, int repeats, cudaStream_t stream,
                               double& operations) {
  int device = 0, multiprocessors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (error != cudaSuccess) return error;
  switch (type) {
    case MatrixType::kF16:
      launch<MatrixType::kF16>(multiprocessors, repeats, stream);
      break;
    case MatrixType::kBF16:
      launch<MatrixType::kBF16>(multiprocessors, repeats, stream);
      break;
    case MatrixType::kTF32:
      launch<MatrixType::kTF32>(multiprocessors, repeats, stream);
      break;
    case MatrixType::kFP8:
      launch<MatrixType::kFP8>(multiprocessors, repeats, stream);
      break;
    case MatrixType::kInt8:
      launch<MatrixType::kInt8>(multiprocessors, repeats, stream);
      break;
  }
  const int depth = kDepthBytes / element_bytes(type);
  operations +=
      2.0 * kRowsA * kColsB * depth * kGroups * static_cast<double>(multiprocessors) * repeats;
  return cudaGetLastError();
}

}  // namespace neuros::device
