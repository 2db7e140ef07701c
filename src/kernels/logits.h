#pragma once

#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// Final norm and head for the rows whose logits are wanted.
struct LogitsArgs {
  const float* x = nullptr;            ///< [tokens, hidden]
  std::span<const int32_t> rows;       ///< which rows of x
  const float* norm_weight = nullptr;  ///< [hidden]
  float epsilon = 1e-5f;
  PackedMatrix head;        ///< [vocabulary, hidden]
  float* logits = nullptr;  ///< [rows, vocabulary]
};
using LogitsFn = void (*)(const OpContext&, const LogitsArgs&);

}  // namespace neuros::kernels
