#include "pipeline/input_squares.h"

#include "base/check.h"

#include <cmath>
#include <span>
#include <utility>
#include <variant>

namespace neuros::pipeline {
namespace {

/// What an op multiplies its matrices by: rows of x, through a norm where there is one.
struct Inputs {
  const float* x = nullptr;  ///< [tokens, cols]; null: the op has no product
  int64_t cols = 0;
  const float* norm = nullptr;  ///< [cols], as in kernels/rms_norm.h; null: x as it is
  float epsilon = 0;
};

struct InputsOf {
  Inputs operator()(const kernels::QkvRopeArgs& op) const {
    return {op.x, op.wq.cols, op.norm_weight, op.epsilon};
  }
  Inputs operator()(const runtime::BoundLinear& op) const {
    return {.x = op.args.x, .cols = op.args.weight.cols};
  }
  Inputs operator()(const kernels::GateUpArgs& op) const {
    return {op.x, op.gate.cols, op.norm_weight, op.epsilon};
  }
  /// Of all rows, not of those alone whose logits are wanted.
  Inputs operator()(const kernels::LogitsArgs& op) const {
    return {op.x, op.head.cols, op.norm_weight, op.epsilon};
  }
  /// A table's rows are looked up, and what attention multiplies are no weights.
  Inputs operator()(const kernels::EmbedArgs&) const { return {}; }
  Inputs operator()(const kernels::RopeTableArgs&) const { return {}; }
  Inputs operator()(const kernels::AttentionArgs&) const { return {}; }
};

struct MatricesOf {
  std::vector<std::string> operator()(const plan::QkvRopeOp& op) const {
    return {op.wq.name, op.wk.name, op.wv.name};
  }
  std::vector<std::string> operator()(const plan::LinearResidualOp& op) const {
    return {op.weight.name};
  }
  std::vector<std::string> operator()(const plan::GateUpOp& op) const {
    return {op.gate.name, op.up.name};
  }
  std::vector<std::string> operator()(const plan::LogitsOp& op) const { return {op.head.name}; }
  std::vector<std::string> operator()(const plan::EmbedOp&) const { return {}; }
  std::vector<std::string> operator()(const plan::RopeTableOp&) const { return {}; }
  std::vector<std::string> operator()(const plan::AttentionOp&) const { return {}; }
};

/// The square of what a norm divides a row by, inverted; 1 without a norm.
double inverse_mean_square(const Inputs& inputs, std::span<const float> row) {
  if (inputs.norm == nullptr) return 1.0;
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  return 1.0 / (squares / static_cast<double>(row.size()) + static_cast<double>(inputs.epsilon));
}

void add_row(const Inputs& inputs, std::span<const float> row, std::span<double> sums) {
  const double scale = inverse_mean_square(inputs, row);
  for (size_t j = 0; j < row.size(); ++j) {
    const double norm = inputs.norm == nullptr ? 1.0 : static_cast<double>(inputs.norm[j]);
    const double value = norm * static_cast<double>(row[j]);
    sums[j] += scale * value * value;
  }
}

}  // namespace

InputSquares::InputSquares(const plan::Program& program) {
  for (const plan::Segment& segment : program.segments) {
    for (const plan::Op& op : segment.ops) {
      ops_.push_back({.matrices = std::visit(MatricesOf{}, op)});
    }
  }
}

void InputSquares::before_op(size_t op, const runtime::BoundOp& bound, int64_t tokens) {
  const Inputs inputs = std::visit(InputsOf{}, bound);
  Sums& sums = ops_.at(op);
  CHECK((inputs.x == nullptr) == sums.matrices.empty(), "the op is the program's");
  if (inputs.x == nullptr) return;
  const auto cols = static_cast<size_t>(inputs.cols);
  sums.squares.resize(cols);
  for (int64_t t = 0; t < tokens; ++t) {
    add_row(inputs, {inputs.x + static_cast<size_t>(t) * cols, cols}, sums.squares);
  }
  sums.rows += tokens;
}

base::Result<builder::Importance> InputSquares::importance(std::string source) const {
  builder::Importance importance{.source = std::move(source)};
  for (const Sums& sums : ops_) {
    std::vector<float> means;
    for (const double square : sums.squares) {
      means.push_back(static_cast<float>(square / static_cast<double>(sums.rows)));
      if (std::isfinite(means.back())) continue;
      return base::fail(sums.matrices.front() + ": the inputs of column " +
                        std::to_string(means.size() - 1) + " are not finite");
    }
    for (const std::string& matrix : sums.matrices) importance.mean_squares[matrix] = means;
  }
  return importance;
}

}  // namespace neuros::pipeline
