#pragma once

#include "device/device.h"
#include "kernels/op_table.h"
#include "kernels/testing/buffers.h"

#include <memory>
#include <vector>

namespace neuros::kernels::testing {

/// One table with workers and exactly the scratch it asked for.
class Bench {
 public:
  Bench(const OpTable& table, const OpLimits& limits);
  ~Bench();

  const OpTable& ops() const { return table_; }
  /// Scratch is filled with NaN bits each time, but for what the table keeps: zeros at first.
  OpContext context();

 private:
  const OpTable& table_;
  OpLimits limits_;
  std::unique_ptr<device::Stream> stream_;
  AlignedBytes scratch_, host_;
};

/// A matrix as its file has it.
struct FileMatrix {
  base::DType dtype = base::DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<std::byte> bytes;

  /// Random codes of every pattern under scales that make values of about 1 / sqrt(cols).
  static FileMatrix random(Random& random, base::DType dtype, int64_t rows, int64_t cols);
  std::vector<float> row(int64_t index) const;
  /// Euclidean length of a row.
  double row_length(int64_t index) const;
};

/// The same matrix as a table packs it, in pieces and not from front to back.
class PackedWeight {
 public:
  PackedWeight(const OpTable& table, const FileMatrix& file);
  const PackedMatrix& matrix() const { return matrix_; }

 private:
  AlignedBytes bytes_;
  PackedMatrix matrix_;
};

/// How far a sum of products may be from the reference when the activations are of size 1 and the
/// row of weights has the given length: ten standard deviations of what rounding activations to
/// eight bits (bfloat16, for plain 16-bit weights) does to it.
double sum_tolerance(base::DType dtype, double row_length);

/// A number of columns that `dtype` can have: whole blocks, or any number of plain elements, up to
/// about `most`.
int64_t random_cols(Random& random, base::DType dtype, int64_t most);

}  // namespace neuros::kernels::testing
