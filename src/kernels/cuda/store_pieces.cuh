#pragma once

/// Storing activations in pieces (activation_pieces.h).

#include "kernels/cuda/prepare.cuh"

namespace neuros::kernels::cuda {

/// Stores columns column .. + 3 of a token, a multiple of 4; none from `columns` on. kQ8: all lanes
/// of a warp call it, eight one after another with 32 neighbouring columns.
template <ActivationKind kKind>
__device__ __forceinline__ void store_in_pieces(const PreparedActivations& out, int token,
                                                int column, int columns, const Four& values) {
  constexpr int kColumns = piece_columns(kKind);
  std::byte* piece = out.values + static_cast<int64_t>(column / kColumns) * out.piece_bytes;
  if constexpr (kKind == ActivationKind::kQ8) {
    const RoundedFour four = round_four(values);
    if (column >= columns) return;
    *reinterpret_cast<uint32_t*>(piece + code_place(token, column % kColumns)) = four.codes;
    const auto scale = [&](int index) -> float& {
      return *reinterpret_cast<float*>(piece + scale_place(token, index));
    };
    store_scales(scale, token, column, four);
  } else {
    if (column >= columns) return;
    const uint2 four = rounded_four<kKind>(values);
    std::byte* at = piece + half_place(token, column % kColumns);
    *reinterpret_cast<uint32_t*>(at) = four.x;
    *reinterpret_cast<uint32_t*>(at + kHalfPieceBytes) = four.y;
  }
}

}  // namespace neuros::kernels::cuda
