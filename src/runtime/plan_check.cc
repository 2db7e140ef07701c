#include "runtime/plan_check.h"

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

namespace neuros::runtime {
namespace {

constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

base::Result<> check_limits(const plan::Plan& plan) {
  const plan::BatchLimits& limits = plan.limits;
  if (limits.context < 1 || limits.batch_tokens < 1 || limits.sequences < 1 ||
      limits.logit_rows < 1 || plan.kv.pages < 1 || plan.kv.page_tokens < 1) {
    return base::fail("boot: a limit of the plan is not positive");
  }
  if (plan.kv.pages * plan.kv.page_bytes > plan.memory.kv) {
    return base::fail("boot: " + std::to_string(plan.kv.pages) + " KV pages of " +
                      std::to_string(plan.kv.page_bytes) + " bytes do not fit the plan's " +
                      std::to_string(plan.memory.kv));
  }
  if (plan.kv.host_pages < 0 || plan.kv.host_pages * plan.kv.page_bytes > plan.memory.kv_host) {
    return base::fail("boot: " + std::to_string(plan.kv.host_pages) + " KV pages of " +
                      std::to_string(plan.kv.page_bytes) + " bytes on the host do not fit the " +
                      "plan's " + std::to_string(plan.memory.kv_host));
  }
  return {};
}

/// Whether the table has what an op calls.
struct HasOp {
  const kernels::OpTable& ops;

  bool operator()(const plan::EmbedOp&) const { return ops.embed != nullptr; }
  bool operator()(const plan::RopeTableOp&) const { return ops.rope_table != nullptr; }
  bool operator()(const plan::QkvRopeOp&) const { return ops.qkv_rope != nullptr; }
  bool operator()(const plan::AttentionOp&) const { return ops.attention != nullptr; }
  bool operator()(const plan::LinearResidualOp&) const { return true; }  // by type of weight
  bool operator()(const plan::GateUpOp&) const { return ops.gate_up != nullptr; }
  bool operator()(const plan::LogitsOp&) const { return ops.logits != nullptr; }
};

base::Result<> check_ops(const plan::Plan& plan, const kernels::OpTable& ops) {
  for (const plan::Segment& segment : plan.program.segments) {
    for (const plan::Op& op : segment.ops) {
      if (std::visit(HasOp{ops}, op)) continue;
      return base::fail("boot: kernels " + ops.name + " have no " + plan::name(op),
                        base::ErrorKind::kUnsupported);
    }
  }
  return {};
}

base::Result<> check_matrix(const plan::WeightPlacement& weight, const kernels::OpTable& ops) {
  const bool can_be_weight = static_cast<int>(weight.dtype) < base::kWeightDTypeCount;
  const std::string tensor = "boot: tensor " + weight.name + ": ";
  if (!can_be_weight || !ops.linear_for(weight.dtype)) {
    return base::fail(
        tensor + ops.name + " has no kernel for type " + std::string(base::name(weight.dtype)),
        base::ErrorKind::kUnsupported);
  }
  const kernels::LinearKernel& kernel = ops.linear_for(weight.dtype);
  if (weight.kernel != kernel.name) {
    return base::fail(
        tensor + "packed for kernel " + weight.kernel + ", this program has " + kernel.name,
        base::ErrorKind::kUnsupported);
  }
  const int64_t bytes = aligned(kernel.packed_bytes(weight.rows, weight.cols));
  if (weight.bytes == bytes) return {};
  return base::fail(tensor + std::to_string(weight.bytes) + " bytes packed, expected " +
                    std::to_string(bytes));
}

/// Of models that share scratch, exactly what the kernels keep is the model's own.
base::Result<> check_shared_scratch(const plan::Plan& plan, const kernels::OpTable& ops) {
  const kernels::OpLimits limits = op_limits(plan);
  const int64_t kept = ops.kept_bytes == nullptr ? 0 : ops.kept_bytes(limits);
  if (plan.memory.scratch != plan::work_aligned(kept)) {
    return base::fail("boot: " + std::to_string(plan.memory.scratch) +
                      " bytes of scratch of its own, kernels " + ops.name + " keep " +
                      std::to_string(kept));
  }
  const int64_t shared = plan.memory.shared - plan.shared_value_bytes();
  const int64_t needed = ops.scratch_bytes(limits) - kept;
  if (needed <= shared) return {};
  return base::fail("boot: " + std::to_string(shared) +
                    " bytes of scratch that models take in turn, kernels " + ops.name + " need " +
                    std::to_string(needed));
}

base::Result<> check_own_scratch(const plan::Plan& plan, const kernels::OpTable& ops) {
  const int64_t needed = ops.scratch_bytes(op_limits(plan));
  if (needed <= plan.memory.scratch) return {};
  return base::fail("boot: " + std::to_string(plan.memory.scratch) + " bytes of scratch, kernels " +
                    ops.name + " need " + std::to_string(needed));
}

base::Result<> check_host(const plan::Plan& plan, const kernels::OpTable& ops) {
  if (ops.host_bytes == nullptr) return {};
  const int64_t rows = plan.limits.logit_rows;
  const int64_t top = ops.top_logits == nullptr ? 0 : int64_t{sizeof(kernels::TopLogits)};
  const int64_t needed = aligned(ops.host_bytes(op_limits(plan))) + aligned(rows * top) +
                         rows * plan.program.vocabulary * int64_t{sizeof(float)};
  if (needed <= plan.memory.host) return {};
  return base::fail("boot: " + std::to_string(plan.memory.host) + " bytes on the host, kernels " +
                    ops.name + " need " + std::to_string(needed));
}

base::Result<> check_choices(const plan::Plan& plan, const kernels::OpTable& ops) {
  for (const plan::KernelChoice& choice : plan.kernel_choices) {
    const auto op = kernels::choice_op_from_name(choice.op);
    if (op && ops.choice_values != nullptr) {
      const std::vector<int32_t> values = ops.choice_values(
          plan.device_kind, {*op, choice.dtype, choice.rows, choice.cols, choice.tokens});
      if (std::ranges::find(values, choice.value) != values.end()) continue;
    }
    return base::fail("boot: kernels " + ops.name + " have no choice " +
                      std::to_string(choice.value) + " of " + choice.op + " on " +
                      plan.device_kind);
  }
  return {};
}

}  // namespace

kernels::OpLimits op_limits(const plan::Plan& plan) {
  return {.tokens = plan.limits.batch_tokens,
          .sequences = plan.limits.sequences,
          .cols = plan.widest_cols(),
          .rows = plan.widest_rows(),
          .heads = plan.program.heads,
          .head_dim = plan.program.head_dim,
          .context = plan.limits.context,
          .logit_rows = plan.limits.logit_rows,
          .workers = plan.workers};
}

base::Result<> check_plan(const plan::Plan& plan, const kernels::OpTable& ops) {
  TRY(check_limits(plan));
  TRY(check_ops(plan, ops));
  for (const plan::WeightPlacement& weight : plan.weights) {
    if (weight.kind == plan::WeightPlacement::Kind::kMatrix) TRY(check_matrix(weight, ops));
  }
  const bool shares_scratch = plan.memory.shared > plan.shared_value_bytes();
  TRY(shares_scratch ? check_shared_scratch(plan, ops) : check_own_scratch(plan, ops));
  TRY(check_host(plan, ops));
  return check_choices(plan, ops);
}

}  // namespace neuros::runtime
