#pragma once

#include "base/result.h"
#include "base/thread_pool.h"
#include "builder/convert_plan.h"
#include "builder/importance.h"
#include "formats/gguf_writer.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace neuros::builder {

/// How much a tensor lost: sums over its elements.
struct RoundingLoss {
  double squared_error = 0.0;
  double squared_values = 0.0;
};

/// Converts tensors a few MiB at a time, the rows of each piece on all threads of the pool.
class TensorConverter {
 public:
  /// Both outlive it.
  TensorConverter(base::ThreadPool& pool, const Importance& importance);

  /// Appends the whole tensor to `writer`; `on_piece` is called after each piece of it.
  base::Result<> write(const ConvertedTensor& tensor, formats::GgufWriter& writer,
                       const std::function<void()>& on_piece);

  /// What all tensors written so far in a type of two bits or less lost; those types fit ternary
  /// weights only, and only for them it is measured.
  RoundingLoss ternary_loss() const;

 private:
  /// One of the pool's threads.
  struct Worker {
    std::vector<float> row, rounded;  ///< [cols]
    RoundingLoss loss;
  };

  void convert_rows(const ConvertedTensor& tensor, int64_t first, int64_t count);
  void convert_row(const ConvertedTensor& tensor, int64_t row, std::byte* out, Worker& worker);

  base::ThreadPool& pool_;
  const Importance& importance_;
  std::vector<Worker> workers_;
  std::vector<std::byte> piece_;
};

}  // namespace neuros::builder
