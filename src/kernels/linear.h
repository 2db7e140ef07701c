#pragma once

#include "base/dtype.h"
#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstdint>

namespace neuros::kernels {

/// y = x W^T + bias + residual
struct LinearArgs {
  PackedMatrix weight;              ///< [rows, cols]
  const float* x = nullptr;         ///< [tokens, cols]
  const float* bias = nullptr;      ///< [rows] or null
  const float* residual = nullptr;  ///< [tokens, rows] or null; may be y
  float* y = nullptr;               ///< [tokens, rows]
  int64_t tokens = 0;
  int64_t decode_tokens = 0;  ///< the first of them are decode steps (OpTable)
};

/// One element type's row of an OpTable: how its matrices are laid out and multiplied.
struct LinearKernel {
  const char* name = nullptr;  ///< "avx512-vnni q4_k r16", for the plan
  /// Bytes of a packed [rows, cols] matrix, a multiple of 64. cols is a multiple of the block.
  int64_t (*packed_bytes)(int64_t rows, int64_t cols) = nullptr;
  /// Packs rows [first, first + count) of a matrix stored in `dtype`'s file format; `source` points
  /// at the first of them, `packed` at the whole matrix. first and count are multiples of 16, but
  /// for the matrix's end. Different row ranges may be packed by different threads.
  void (*pack)(const std::byte* source, int64_t rows, int64_t cols, int64_t first, int64_t count,
               std::byte* packed) = nullptr;
  /// Row `row` of a packed matrix as floats [cols]; equal to the format's definition to the bit,
  /// unless `name` says that packing re-quantises.
  void (*unpack_row)(const PackedMatrix& matrix, int64_t row, float* out) = nullptr;
  /// The product, for any number of tokens from 1. Batch-invariant: row t of y has the same bits
  /// whatever the other rows are, however many, and however many workers; so a request answered in
  /// a batch equals the same request answered alone.
  void (*run)(const OpContext&, const LinearArgs&) = nullptr;

  explicit operator bool() const { return run != nullptr; }
};

}  // namespace neuros::kernels
