#pragma once

#include "base/result.h"
#include "builder/importance.h"
#include "plan/program.h"
#include "runtime/pass_observer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// Adds up the squares of what the matrices of a model on a CPU are multiplied with, over all rows
/// of all passes. Row after row, so that the sums do not depend on the number of threads.
class InputSquares final : public runtime::PassObserver {
 public:
  explicit InputSquares(const plan::Program& program);

  bool watches() const override { return true; }
  void before_op(size_t op, const runtime::BoundOp& bound, int64_t tokens) override;
  void on_pass(const runtime::PassTimes&) override {}

  /// While no process runs: their means. Fails where one is not finite, naming matrix and column.
  base::Result<builder::Importance> importance(std::string source) const;

 private:
  /// Of one op of the program.
  struct Sums {
    std::vector<std::string> matrices;  ///< that it multiplies by the same inputs
    std::vector<double> squares{};      ///< [cols]
    int64_t rows = 0;
  };
  std::vector<Sums> ops_;
};

}  // namespace neuros::pipeline
