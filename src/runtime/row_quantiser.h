#pragma once

#include "base/thread_pool.h"
#include "plan/plan.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace neuros::runtime {

/// Brings rows of a matrix from the type of its file to the one that the plan has for it, as
/// `neuros convert` would: the same bits.
class RowQuantiser {
 public:
  /// `workers` outlive it; null: threads of its own, from the first rows on that need them.
  explicit RowQuantiser(base::ThreadPool* workers) : workers_(workers) {}

  /// `source` holds `rows` whole rows in weight.file_dtype. What is returned is `source` where the
  /// types are equal, and lasts until the next call.
  std::span<const std::byte> convert(const plan::WeightPlacement& weight,
                                     std::span<const std::byte> source, int64_t rows);

 private:
  base::ThreadPool& workers();

  base::ThreadPool* workers_;
  std::unique_ptr<base::ThreadPool> own_workers_;
  std::vector<std::byte> quantised_;
  std::vector<std::vector<float>> values_;  ///< one row for each thread
};

}  // namespace neuros::runtime
