#include "plan/bounds.h"
#include "plan/validate.h"

#include <cmath>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace neuros::plan {
namespace {

using base::fail;
using base::Result;

/// Shapes of one op after the other against what the plan has placed.
class OpChecker {
 public:
  explicit OpChecker(const Plan& plan) : plan_(plan) {
    for (const WeightPlacement& weight : plan.weights) weights_.emplace(weight.name, &weight);
  }

  Result<> operator()(const EmbedOp& op) const;
  Result<> operator()(const RopeTableOp& op) const;
  Result<> operator()(const QkvRopeOp& op) const;
  Result<> operator()(const AttentionOp& op) const;
  Result<> operator()(const LinearResidualOp& op) const;
  Result<> operator()(const GateUpOp& op) const;
  Result<> operator()(const LogitsOp& op) const;

 private:
  using Kind = WeightPlacement::Kind;

  Result<> weight(const WeightRef& ref, const base::Shape& shape) const;
  /// A weight the model may be without.
  Result<> optional(const WeightRef& ref, const base::Shape& shape) const {
    return ref.exists() ? weight(ref, shape) : Result<>();
  }
  Result<const Value*> value(ValueId id) const;
  Result<> value(ValueId id, int64_t cols, Value::Rows rows = Value::Rows::kTokens) const;
  Result<> heads(int32_t layer, int32_t heads, int32_t kv_heads, int32_t head_dim) const;
  int64_t mixed() const { return int64_t{plan_.program.heads} * plan_.program.head_dim; }

  const Plan& plan_;
  std::map<std::string_view, const WeightPlacement*> weights_;
};

Result<> finite(std::initializer_list<float> numbers) {
  for (const float number : numbers) {
    if (!std::isfinite(number)) return fail("a number of it is not finite");
  }
  return {};
}

Result<> OpChecker::weight(const WeightRef& ref, const base::Shape& shape) const {
  const auto found = weights_.find(ref.name);
  if (found == weights_.end()) return fail("weight " + ref.name + " has no place");
  const WeightPlacement& placed = *found->second;
  const bool is_vector = shape.size() == 1;
  const base::Shape there =
      is_vector ? base::Shape{placed.cols} : base::Shape{placed.rows, placed.cols};
  const bool same_kind = placed.kind == (is_vector ? Kind::kVector : Kind::kMatrix);
  if (same_kind && there == shape && ref.shape == shape) return {};
  return fail("weight " + ref.name + ": " + base::to_string(there) + " placed, " +
              base::to_string(ref.shape) + " named, expected " + base::to_string(shape));
}

Result<const Value*> OpChecker::value(ValueId id) const {
  const std::vector<Value>& values = plan_.program.values;
  if (id >= 0 && static_cast<size_t>(id) < values.size()) return &values[static_cast<size_t>(id)];
  return fail("value " + std::to_string(id) + ", the program has " + std::to_string(values.size()));
}

Result<> OpChecker::value(ValueId id, int64_t cols, Value::Rows rows) const {
  const Value* found = TRY(value(id));
  if (found->cols == cols && found->rows == rows) return {};
  return fail("value " + found->name + ": " + std::to_string(found->cols) + " columns, expected " +
              std::to_string(cols) + (found->rows == rows ? "" : " of other rows"));
}

Result<> OpChecker::heads(int32_t layer, int32_t heads, int32_t kv_heads, int32_t head_dim) const {
  const Program& program = plan_.program;
  if (layer < 0 || layer >= program.layers) {
    return fail("layer " + std::to_string(layer) + " of " + std::to_string(program.layers));
  }
  if (heads == program.heads && kv_heads == program.kv_heads && head_dim == program.head_dim) {
    return {};
  }
  return fail("heads " + std::to_string(heads) + "/" + std::to_string(kv_heads) + " x " +
              std::to_string(head_dim) + ", the program has " + std::to_string(program.heads) +
              "/" + std::to_string(program.kv_heads) + " x " + std::to_string(program.head_dim));
}

Result<> OpChecker::operator()(const EmbedOp& op) const {
  const Value* out = TRY(value(op.out));
  TRY(value(op.out, out->cols));
  TRY(finite({op.scale}));
  return weight(op.table, {plan_.program.vocabulary, out->cols});
}

Result<> OpChecker::operator()(const RopeTableOp& op) const {
  TRY(finite({op.magnitude}));
  for (const float frequency : op.inverse_frequency) TRY(finite({frequency}));
  return value(op.out, 2 * static_cast<int64_t>(op.inverse_frequency.size()));
}

Result<> OpChecker::operator()(const QkvRopeOp& op) const {
  TRY(heads(op.layer, op.heads, op.kv_heads, op.head_dim));
  if (op.rope_dims < 0 || op.rope_dims % 2 != 0 || op.rope_dims > op.head_dim) {
    return fail("rope_dims " + std::to_string(op.rope_dims) + ", expected an even number up to " +
                std::to_string(op.head_dim));
  }
  TRY(finite({op.epsilon}));
  const Value* in = TRY(value(op.in));
  const int64_t keys = int64_t{op.kv_heads} * op.head_dim;
  TRY(value(op.in, in->cols));
  TRY(weight(op.norm, {in->cols}));
  TRY(weight(op.wq, {mixed(), in->cols}));
  TRY(weight(op.wk, {keys, in->cols}));
  TRY(weight(op.wv, {keys, in->cols}));
  TRY(optional(op.bq, {mixed()}));
  TRY(optional(op.bk, {keys}));
  TRY(optional(op.bv, {keys}));
  TRY(optional(op.q_norm, {op.head_dim}));
  TRY(optional(op.k_norm, {op.head_dim}));
  TRY(value(op.rope_table));
  if (op.rope_dims > 0) TRY(value(op.rope_table, op.rope_dims));
  return value(op.out, mixed());
}

Result<> OpChecker::operator()(const AttentionOp& op) const {
  TRY(heads(op.layer, op.heads, op.kv_heads, op.head_dim));
  TRY(finite({op.scale, op.soft_cap}));
  if (op.window < 0) return fail("window " + std::to_string(op.window));
  TRY(value(op.in, mixed()));
  return value(op.out, mixed());
}

Result<> OpChecker::operator()(const LinearResidualOp& op) const {
  const Value* in = TRY(value(op.in));
  const Value* residual = TRY(value(op.residual));
  TRY(value(op.in, in->cols));
  TRY(value(op.residual, residual->cols));
  TRY(optional(op.bias, {residual->cols}));
  return weight(op.weight, {residual->cols, in->cols});
}

Result<> OpChecker::operator()(const GateUpOp& op) const {
  TRY(finite({op.epsilon}));
  const Value* in = TRY(value(op.in));
  const Value* out = TRY(value(op.out));
  TRY(value(op.in, in->cols));
  TRY(value(op.out, out->cols));
  TRY(weight(op.norm, {in->cols}));
  TRY(weight(op.gate, {out->cols, in->cols}));
  return weight(op.up, {out->cols, in->cols});
}

Result<> OpChecker::operator()(const LogitsOp& op) const {
  TRY(finite({op.epsilon}));
  const Value* in = TRY(value(op.in));
  TRY(value(op.in, in->cols));
  TRY(weight(op.norm, {in->cols}));
  TRY(weight(op.head, {plan_.program.vocabulary, in->cols}));
  return value(op.out, plan_.program.vocabulary, Value::Rows::kLogitRows);
}

Result<> check_sizes(const Program& program) {
  constexpr int64_t kWide = int64_t{1} << 28;
  TRY(within("hidden", program.hidden, 1, kWide));
  TRY(within("feed-forward", program.feed_forward, 1, kWide));
  TRY(within("vocabulary", program.vocabulary, 1, kWide));
  TRY(within("layers", program.layers, 1, 4096));
  TRY(within("heads", program.heads, 1, 4096));
  TRY(within("key and value heads", program.kv_heads, 1, program.heads));
  TRY(within("head dimension", program.head_dim, 1, 4096));
  TRY(within("trained context", program.context_trained, 1, int64_t{1} << 40));
  for (const Value& value : program.values) TRY(within("columns", value.cols, 1, kWide));
  if (program.heads % program.kv_heads == 0) return {};
  return fail(std::to_string(program.heads) + " heads are not a multiple of " +
              std::to_string(program.kv_heads));
}

/// A language model ends in logits, and has no others.
Result<> check_end(const Program& program) {
  size_t logits = 0;
  for (const Segment& segment : program.segments) {
    for (const Op& op : segment.ops) logits += std::holds_alternative<LogitsOp>(op) ? 1 : 0;
  }
  const bool ends_in_logits = !program.segments.empty() && !program.segments.back().ops.empty() &&
                              std::holds_alternative<LogitsOp>(program.segments.back().ops.back());
  if (logits == 1 && ends_in_logits) return {};
  return fail("its program does not end in its only logits");
}

}  // namespace

Result<> validate_program(const Plan& plan) {
  TRY(check_sizes(plan.program));
  const OpChecker check(plan);
  for (const Segment& segment : plan.program.segments) {
    if (segment.ops.empty()) return fail("segment " + segment.name + ": no ops");
    for (const Op& op : segment.ops) {
      auto checked = std::visit(check, op);
      if (checked) continue;
      return tl::unexpected(
          with_context(std::move(checked).error(), segment.name + ", " + name(op)));
    }
  }
  return check_end(plan.program);
}

}  // namespace neuros::plan
