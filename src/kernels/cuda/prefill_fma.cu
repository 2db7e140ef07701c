/// Products of prompt rows in plain f32 arithmetic, for f32 weights, and for bf16 on cards without
/// bf16 matrix instructions. A block of 256 threads computes 64 rows x 64 tokens, a thread 4 x 4 of
/// them 16 apart, so that for SwiGLU a thread has gate and up of the same rows. 16 columns at a
/// time go through shared memory. 8 loads of 4 bytes serve 16 FMAs: at best half of the f32 rate.

#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"

namespace neuros::kernels::cuda::prefill {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 16;
constexpr int kStride = kFmaRows + 4;  // spreads the transposed stores over the banks
static_assert(kFmaRows == kFmaTokens && kThreads * 4 == kFmaRows * kColumns);

struct FmaTile {
  int task, row, token;  // first row and token
};

__device__ FmaTile find_fma_tile(const ProductArgs& args) {
  const int row_tile = static_cast<int>(blockIdx.x) / args.token_tiles;
  int task = 0;
  while (task + 1 < args.task_count && row_tile >= args.tasks[task + 1].first_tile) ++task;
  const int rows = args.swiglu ? kFmaRows / 2 : kFmaRows;
  return {.task = task,
          .row = (row_tile - args.tasks[task].first_tile) * rows,
          .token = static_cast<int>(blockIdx.x) % args.token_tiles * kFmaTokens};
}

/// Columns [col, col + 4) of a row; zeros past the end.
template <base::DType kType>
__device__ float4 read_weights(const std::byte* matrix, int64_t panel_bytes, int row, int col,
                               int cols) {
  if constexpr (kType == base::DType::kF32) {
    if (col >= (cols + 3) / 4 * 4) return {};
    const int64_t row_bytes = panel_bytes / kPanelRows;
    return *reinterpret_cast<const float4*>(matrix + row * row_bytes + col * 4);
  } else {
    if (col >= (cols + 15) / 16 * 16) return {};
    const std::byte* at =
        matrix + row / kPanelRows * panel_bytes + half_quad_place(row % kPanelRows, col / 4);
    const uint32_t low = *reinterpret_cast<const uint32_t*>(at);
    const uint32_t high = *reinterpret_cast<const uint32_t*>(at + kHalfPieceBytes);
    return {__uint_as_float(low << 16), __uint_as_float(low & 0xffff0000u),
            __uint_as_float(high << 16), __uint_as_float(high & 0xffff0000u)};
  }
}

/// Row `i` of the tile (SwiGLU: the upper half of them are of `up`) and four columns.
template <base::DType kType>
__device__ float4 tile_weights(const ProductArgs& args, const FmaTile& tile, int i, int col) {
  const ProductTask& task = args.tasks[tile.task];
  const bool is_up = args.swiglu && i >= kFmaRows / 2;
  const int row = tile.row + (is_up ? i - kFmaRows / 2 : i);
  if (row >= task.rows) return {};
  return read_weights<kType>(is_up ? task.up : task.weight, args.panel_bytes, row, col, args.cols);
}

__device__ float4 tile_tokens(const ProductArgs& args, const FmaTile& tile, int i, int col) {
  const int token = tile.token + i;
  if (token >= args.tokens || col >= args.padded_cols) return {};
  const auto* x = reinterpret_cast<const float*>(args.activations);
  return *reinterpret_cast<const float4*>(x + static_cast<int64_t>(token) * args.padded_cols + col);
}

__device__ void store_transposed(float (&to)[kColumns][kStride], int i, int col, float4 v) {
  to[col][i] = v.x;
  to[col + 1][i] = v.y;
  to[col + 2][i] = v.z;
  to[col + 3][i] = v.w;
}

__device__ float silu(float value) {
  return value / (1.0f + expf(-value));
}

__device__ void write_sum(const ProductTask& task, int row, int64_t token, float sum) {
  if (row >= task.rows) return;
  if (task.bias != nullptr) sum += task.bias[row];
  if (task.residual != nullptr) sum += __ldcg(task.residual + token * task.rows + row);
  if (task.gate != nullptr) sum *= silu(__ldcg(task.gate + token * task.rows + row));
  task.y[token * task.rows + row] = sum;
}

/// Sums of rows x + 16 i and tokens y + 16 j.
__device__ void write_sums(const ProductArgs& args, const FmaTile& tile,
                           const float (&sums)[4][4]) {
  const ProductTask& task = args.tasks[tile.task];
  const int row = tile.row + static_cast<int>(threadIdx.x) % 16;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int token = tile.token + static_cast<int>(threadIdx.x) / 16 + 16 * j;
    if (token >= args.tokens) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (!args.swiglu) {
        write_sum(task, row + 16 * i, token, sums[i][j]);
      } else if (i < 2) {
        write_sum(task, row + 16 * i, token, silu(sums[i][j]) * sums[i + 2][j]);
      }
    }
  }
}

template <base::DType kType>
__global__ void __launch_bounds__(kThreads) fma_product(const __grid_constant__ ProductArgs args) {
  __shared__ float w[kColumns][kStride], x[kColumns][kStride];
  const FmaTile tile = find_fma_tile(args);
  const int i = static_cast<int>(threadIdx.x) / 4;
  const int col = static_cast<int>(threadIdx.x) % 4 * 4;
  float sums[4][4] = {};
  wait_for_previous();
  for (int first = 0; first < args.cols; first += kColumns) {
    const float4 weights = tile_weights<kType>(args, tile, i, first + col);
    const float4 tokens = tile_tokens(args, tile, i, first + col);
    __syncthreads();
    store_transposed(w, i, col, weights);
    store_transposed(x, i, col, tokens);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
#pragma unroll
        for (int t = 0; t < 4; ++t) {
          sums[r][t] =
              fmaf(w[k][threadIdx.x % 16 + 16 * r], x[k][threadIdx.x / 16 + 16 * t], sums[r][t]);
        }
      }
    }
  }
  let_next_start();
  write_sums(args, tile, sums);
}

}  // namespace

template <base::DType kType>
void launch_fma(const OpContext& context, const ProductArgs& args) {
  const int blocks = args.row_tiles * args.token_tiles;
  launch(context, {.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(kThreads)},
         fma_product<kType>, args);
}

template void launch_fma<base::DType::kF32>(const OpContext&, const ProductArgs&);
template void launch_fma<base::DType::kBF16>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
