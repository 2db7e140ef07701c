#pragma once

#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// out[i] = row ids[i] of the table, dequantised.
struct EmbedArgs {
  PackedMatrix table;            ///< [vocabulary, hidden]
  std::span<const int32_t> ids;  ///< each in [0, vocabulary)
  float* out = nullptr;          ///< [ids, hidden]
  float scale = 1.0f;            ///< every value is multiplied by it
};
using EmbedFn = void (*)(const OpContext&, const EmbedArgs&);

}  // namespace neuros::kernels
