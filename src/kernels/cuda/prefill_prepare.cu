/// Activations to the operand of the matrix instructions: gather, RMSNorm, scale, round, permute.
/// One block per token, so that a token's numbers depend on its own row only. Bytes: a row is read
/// once, stays in registers (what there is room for), and 2 bytes a column are written: 1024 tokens
/// of 4096 columns are 25 MB, 8 us at 3.2 TB/s.

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prepared_halves.cuh"

namespace neuros::kernels::cuda::prefill {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
/// Fours that a thread holds where it needs no others.
constexpr int kFewHeld = 4;
/// Blocks of such threads that a multiprocessor is to have room for, if only with 32 registers a
/// thread: an H200 then has the rows of 1056 tokens on their way at once.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
constexpr int kFewResident = 8;
#else
constexpr int kFewResident = 1;
#endif

/// One token's row. A thread has every kThreads-th four columns; the first kHeld of those fours are
/// in registers, further ones are read again each time. Or, where the grid has several blocks a
/// token, a block has the columns that its threads hold, and no others: the last ones first, which
/// the product before wrote last and L2 still has.
template <int kHeld>
class Row {
 public:
  /// Padding: no columns.
  Row() = default;
  __device__ __forceinline__ Row(const float* x, int cols, bool aligned)
      : x_(x), cols_(cols), aligned_(aligned) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) held_[i] = load(column(i));
  }

  /// What follows is of the row times factor and weights.
  __device__ __forceinline__ void normalise(float factor, const float* weight) {
    factor_ = factor, weight_ = weight;
    weight_aligned_ = cols_ % 4 == 0 && reinterpret_cast<uintptr_t>(weight) % 16 == 0;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) held_[i] = normal(held_[i], column(i));
  }

  /// Calls use(column, four values) for the thread's columns up to `end`; zeros past the row.
  template <typename Use>
  __device__ __forceinline__ void each(int end, Use use) const {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (column(i) < end) use(column(i), held_[i]);
    }
    if constexpr (kHeld != kFewHeld) {
      for (int col = column(kHeld); col < end; col += 4 * kThreads) {
        use(col, normal(load(col), col));
      }
    }
  }
  __device__ __forceinline__ int cols() const {
    return cols_;
  }

 private:
  __device__ __forceinline__ static int column(int i) {
    const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * (4 * kHeld * kThreads);
    return first + 4 * (static_cast<int>(threadIdx.x) + i * kThreads);
  }
  __device__ __forceinline__ float at(const float* row, int col) const {
    return col < cols_ ? row[col] : 0.0f;
  }
  __device__ __forceinline__ float4 four(const float* row, int col, bool aligned) const {
    if (aligned && col < cols_) return *reinterpret_cast<const float4*>(row + col);
    return {at(row, col), at(row, col + 1), at(row, col + 2), at(row, col + 3)};
  }
  __device__ __forceinline__ float4 load(int col) const {
    return four(x_, col, aligned_);
  }
  __device__ __forceinline__ float4 normal(float4 v, int col) const {
    if (weight_ == nullptr) return v;
    const float4 w = four(weight_, col, weight_aligned_);
    return {v.x * factor_ * w.x, v.y * factor_ * w.y, v.z * factor_ * w.z, v.w * factor_ * w.w};
  }

  const float* x_ = nullptr;
  const float* weight_ = nullptr;  // null: no RMSNorm
  float factor_ = 1.0f;
  int cols_ = 0;
  bool aligned_ = false, weight_aligned_ = false;
  float4 held_[kHeld] = {};
};

/// The combination of all threads' values, for every thread; always in the same order.
template <typename Combine>
__device__ float reduce(float value, Combine combine) {
  __shared__ float of_warp[kWarps];
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  float all = of_warp[0];
  for (int warp = 1; warp < kWarps; ++warp) all = combine(all, of_warp[warp]);
  return all;
}

template <int kHeld>
__device__ float norm_factor(const Row<kHeld>& row, float epsilon) {
  float sum = 0.0f;
  row.each(row.cols(),
           [&](int, float4 v) { sum += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w); });
  sum = reduce(sum, [](float a, float b) { return a + b; });
  return 1.0f / sqrtf(sum / static_cast<float>(row.cols()) + epsilon);
}

/// The exponent e for which the largest magnitude times 2^e lies in [128, 256); bounded so that 2^e
/// and 2^-e are normal floats.
template <int kHeld>
__device__ int scale_exponent(const Row<kHeld>& row) {
  float largest = 0.0f;
  row.each(row.cols(), [&](int, float4 v) {
    largest = fmaxf(fmaxf(largest, fmaxf(fabsf(v.x), fabsf(v.y))), fmaxf(fabsf(v.z), fabsf(v.w)));
  });
  largest = reduce(largest, [](float a, float b) { return fmaxf(a, b); });
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 126;
  return min(8 - exponent, 120);
}

__device__ float power_of_two(int exponent) {
  return __uint_as_float(static_cast<uint32_t>(exponent + 127) << 23);
}

template <Prepared kKind, int kHeld>
__device__ void write_halves(const PrepareArgs& args, const Row<kHeld>& row, int token,
                             float factor) {
  constexpr bool kIsBf16 = kKind == Prepared::kBF16;
  row.each(static_cast<int>(args.padded_cols), [&](int col, float4 v) {
    const int64_t place = prepared_place(args.padded_tokens, token, col);
    const uint2 halves = prepared_halves(col, round_pair<kIsBf16>(v.x * factor, v.y * factor),
                                         round_pair<kIsBf16>(v.z * factor, v.w * factor));
    *reinterpret_cast<uint2*>(args.out + place) = halves;
  });
}

template <int kHeld>
__device__ void write_floats(const PrepareArgs& args, const Row<kHeld>& row, int token) {
  float* out = reinterpret_cast<float*>(args.out) + token * args.padded_cols;
  row.each(static_cast<int>(args.padded_cols),
           [&](int col, float4 v) { *reinterpret_cast<float4*>(out + col) = v; });
}

template <int kHeld>
__device__ __forceinline__ Row<kHeld> row_of(const ActivationSource& source, int token) {
  if (token >= source.tokens) return {};
  const int64_t index = source.rows == nullptr ? token : source.rows[token];
  const auto cols = static_cast<int>(source.cols);
  const bool aligned = cols % 4 == 0 && reinterpret_cast<uintptr_t>(source.x) % 16 == 0;
  return Row<kHeld>(source.x + index * source.cols, cols, aligned);
}

template <Prepared kKind, int kHeld>
__global__ void __launch_bounds__(kThreads, kHeld == kFewHeld ? kFewResident : 1)
    prepare(const __grid_constant__ PrepareArgs args) {
  let_next_start();  // its blocks fetch weights while these end
  wait_for_previous();
  const int token = blockIdx.x;
  Row<kHeld> row = row_of<kHeld>(args.source, token);
  if (row.cols() > 0 && args.source.norm_weight != nullptr) {
    row.normalise(norm_factor(row, args.source.epsilon), args.source.norm_weight);
  }
  if constexpr (kKind == Prepared::kF32) {
    write_floats(args, row, token);
  } else if constexpr (kKind == Prepared::kBF16) {
    write_halves<kKind>(args, row, token, 1.0f);
  } else {
    const int exponent = row.cols() > 0 ? scale_exponent(row) : 0;
    write_halves<kKind>(args, row, token, power_of_two(exponent));
    if (threadIdx.x == 0) args.token_factors[token] = power_of_two(-exponent);
  }
}

constexpr int64_t kFewColumns = 4 * kFewHeld * kThreads;

/// Columns that can be prepared without knowledge of the others.
template <Prepared kKind>
bool independent(const PrepareArgs& args) {
  return kKind != Prepared::kF16 && args.source.norm_weight == nullptr;
}

/// With a block for each few columns where they are independent, else with one that holds the row,
/// or most of it.
template <Prepared kKind>
void launch_prepare(const OpContext& context, const PrepareArgs& args) {
  const int64_t cols = args.padded_cols;
  LaunchShape shape{.grid = dim3(static_cast<unsigned>(args.padded_tokens)),
                    .block = dim3(kThreads)};
  if (independent<kKind>(args)) {
    shape.grid.y = static_cast<unsigned>((cols - 1) / kFewColumns + 1);
  }
  const bool few = shape.grid.y > 1 || cols <= kFewColumns;
  const auto kernel = few                       ? prepare<kKind, kFewHeld>
                      : cols <= 2 * kFewColumns ? prepare<kKind, 8>
                                                : prepare<kKind, 16>;
  launch(context, shape, kernel, args);
}

}  // namespace

void prepare_activations(const OpContext& context, Prepared kind, const PrepareArgs& args) {
  switch (kind) {
    case Prepared::kF16:
      return launch_prepare<Prepared::kF16>(context, args);
    case Prepared::kBF16:
      return launch_prepare<Prepared::kBF16>(context, args);
    case Prepared::kF32:
      return launch_prepare<Prepared::kF32>(context, args);
  }
}

}  // namespace neuros::kernels::cuda::prefill
