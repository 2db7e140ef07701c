/// Decode kernels of f16, bf16 and f32.

#include "kernels/cuda/decode_kernel.cuh"
#include "kernels/cuda/many_halves.cuh"

namespace neuros::kernels::cuda {
namespace {

using base::DType;

/// f32 has no matrix instruction of full precision. A warp multiplies two rows by up to eight
/// tokens; lane l takes columns 128 i + 4 l .. + 3.
constexpr int kFloatThreads = kPanelRows / 2 * kLanes;

__global__ void __launch_bounds__(kFloatThreads)
    decode_f32_kernel(const __grid_constant__ DecodeParameters p) {
  let_next_start();
  wait_for_previous();
  const DecodeUnit unit = unit_at(p, 0);
  const int lane = threadIdx.x % kLanes, first_row = threadIdx.x / kLanes * 2;
  const int first_token = unit.group * kTileTokens,
            tokens = min(p.tokens - first_token, kTileTokens);
  const auto* weights =
      reinterpret_cast<const float4*>(p.tasks[unit.task].weight + unit.panel * p.panel_bytes +
                                      static_cast<int64_t>(first_row) * p.columns * 4);
  const auto* x = reinterpret_cast<const float4*>(p.prepared.values) +
                  static_cast<int64_t>(first_token) * (p.columns / 4);
  float acc[2][kTileTokens] = {};
#pragma unroll 2
  for (int column = lane; column < p.columns / 4; column += kLanes) {
    const float4 w[2]{weights[column], weights[p.columns / 4 + column]};
#pragma unroll
    for (int token = 0; token < kTileTokens; ++token) {
      if (token >= tokens) break;
      const float4 v = __ldcg(x + token * (p.columns / 4) + column);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        float& sum = acc[row][token];
        sum = __fmaf_rn(w[row].x, v.x, sum);
        sum = __fmaf_rn(w[row].y, v.y, sum);
        sum = __fmaf_rn(w[row].z, v.z, sum);
        sum = __fmaf_rn(w[row].w, v.w, sum);
      }
    }
  }
  float own = 0.0f;  // lane 8 r + t has the result of row r and token t
#pragma unroll
  for (int i = 0; i < 2 * kTileTokens; ++i) {
    float sum = acc[i / kTileTokens][i % kTileTokens];
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
    }
    if (lane == i) own = sum;
  }
  const int row = unit.panel * kPanelRows + first_row + lane / kTileTokens;
  const DecodeTask& task = p.tasks[unit.task];
  if (lane < 2 * kTileTokens && lane % kTileTokens < tokens && row < task.rows) {
    finish(p, task, row, first_token + lane % kTileTokens, own, 0.0f);
  }
}

template <ActivationKind kKind>
void launch_halves(const OpContext& context, const DecodeBatch& batch,
                   const PreparedActivations* prepared) {
  constexpr bool kIsBf16 = kKind == ActivationKind::kBF16;
  DecodeParameters p = decode_parameters(batch, kIsBf16 ? DType::kBF16 : DType::kF16);
  if (prepared == nullptr) return launch_own<HalfChunk<kKind>>(context, p);
  p.prepared = *prepared;
  if (prepared->piece_bytes != 0) return launch_many_halves<kIsBf16>(context, batch, p);
  launch_kernel<HalfChunk<kKind>, 4, false, Blocks::kLarge>(context, p);
}

}  // namespace

template <>
void launch_decode<DType::kF32>(const OpContext& context, const DecodeBatch& batch,
                                const PreparedActivations* prepared) {
  CHECK(prepared != nullptr && !batch.gated);
  DecodeParameters p = decode_parameters(batch, DType::kF32);
  p.prepared = *prepared;
  p.groups = (p.tokens + kTileTokens - 1) / kTileTokens;
  launch(context, {dim3(static_cast<unsigned>(p.panels * p.groups)), dim3(kFloatThreads)},
         decode_f32_kernel, p);
}

template <>
void launch_decode<DType::kF16>(const OpContext& context, const DecodeBatch& batch,
                                const PreparedActivations* prepared) {
  launch_halves<ActivationKind::kF16>(context, batch, prepared);
}

template <>
void launch_decode<DType::kBF16>(const OpContext& context, const DecodeBatch& batch,
                                 const PreparedActivations* prepared) {
  launch_halves<ActivationKind::kBF16>(context, batch, prepared);
}

}  // namespace neuros::kernels::cuda
