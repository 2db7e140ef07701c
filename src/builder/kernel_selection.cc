#include "builder/kernel_selection.h"

#include "base/check.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>

namespace neuros::builder {
namespace {

using kernels::ChoiceKey;
using kernels::ChoiceOp;

/// Decode steps of fewer sequences go another way, which has no choices.
constexpr int64_t kManyTokensMin = 16;
/// That the kernels for decode steps take at a time.
constexpr int64_t kManyTokensMax = 64;
constexpr int64_t kPromptTokensMin = 64;

/// Finds out about one launch after another.
class Selection {
 public:
  Selection(const kernels::OpTable& ops, kernels::KernelChoices measured, plan::Plan& plan)
      : ops_(ops), measured_(std::move(measured)), plan_(plan) {}

  void add(const plan::QkvRopeOp& op) {
    std::map<base::DType, int64_t> rows;
    for (const plan::WeightRef* ref : {&op.wq, &op.wk, &op.wv}) {
      rows[weight(*ref).dtype] += weight(*ref).rows;
      add_step(weight(*ref));
    }
    for (const auto& [dtype, sum] : rows) {
      add_prompt({ChoiceOp::kPrompt, dtype, sum, weight(op.wq).cols, 0});
      add_many({ChoiceOp::kDecodeMany, dtype, sum, weight(op.wq).cols, 0});
    }
  }
  void add(const plan::LinearResidualOp& op) {
    add_prompt(key_of(ChoiceOp::kPrompt, weight(op.weight)));
    add_many(key_of(ChoiceOp::kDecodeMany, weight(op.weight)));
    add_step(weight(op.weight));
  }
  void add(const plan::GateUpOp& op) {
    const plan::WeightPlacement &gate = weight(op.gate), &up = weight(op.up);
    const bool paired = gate.dtype == up.dtype && add_gated(gate);
    for (const plan::WeightPlacement* one : {&gate, &up}) {
      if (!paired) add_prompt(key_of(ChoiceOp::kPrompt, *one));
      if (!paired) add_many(key_of(ChoiceOp::kDecodeMany, *one));
      add_step(*one);
    }
  }
  /// Rows of logits are multiplied as decode steps, those of prompts too.
  void add(const plan::LogitsOp& op) {
    add_many(key_of(ChoiceOp::kDecodeMany, weight(op.head)));
    add_step(weight(op.head));
  }
  template <typename Op>
  void add(const Op& /*without a product*/) {}

 private:
  const plan::WeightPlacement& weight(const plan::WeightRef& ref) const {
    const plan::WeightPlacement* found = plan_.find_weight(ref.name);
    CHECK(found != nullptr, ref.name.c_str());
    return *found;
  }
  static ChoiceKey key_of(ChoiceOp op, const plan::WeightPlacement& weight) {
    return {op, weight.dtype, weight.rows, weight.cols, 0};
  }
  /// False: these kernels do not take both in one launch.
  bool add_gated(const plan::WeightPlacement& gate) {
    const ChoiceKey both{ChoiceOp::kPromptGated, gate.dtype, 2 * gate.rows, gate.cols, 0};
    ChoiceKey many = both;
    many.op = ChoiceOp::kDecodeManyGated;
    many.tokens = kManyTokensMin;
    if (ops_.choice_values(plan_.device_kind, many).empty()) return false;
    add_prompt(both);
    add_many(many);
    return true;
  }
  void add_prompt(const ChoiceKey& key) {
    add_buckets(key, kPromptTokensMin, plan_.limits.batch_tokens);
  }
  void add_many(const ChoiceKey& key) {
    add_buckets(key, kManyTokensMin, std::min<int64_t>(kManyTokensMax, plan_.limits.sequences));
  }
  void add_step(const plan::WeightPlacement& weight) {
    add_buckets(key_of(ChoiceOp::kDecodeStep, weight), 1, 1);
  }
  /// All that up to `most` tokens fall into.
  void add_buckets(ChoiceKey key, int64_t first, int64_t most) {
    key.tokens = first;
    if (!seen_.insert(key).second) return;
    for (;; key.tokens *= 2) {
      add_choice(key);
      if (key.tokens >= most) return;
    }
  }
  void add_choice(const ChoiceKey& key) {
    const std::vector<int32_t> values = ops_.choice_values(plan_.device_kind, key);
    if (values.empty()) return;
    plan::KernelChoice choice{.op = std::string(kernels::name(key.op)),
                              .dtype = key.dtype,
                              .rows = key.rows,
                              .cols = key.cols,
                              .tokens = key.tokens,
                              .value = values.front(),
                              .source = plan::KernelChoice::Source::kEstimate};
    const auto measured = measured_.find(key);
    if (measured && std::ranges::find(values, *measured) != values.end()) {
      choice.value = *measured;
      choice.source = plan::KernelChoice::Source::kTable;
    }
    plan_.kernel_choices.push_back(std::move(choice));
  }

  const kernels::OpTable& ops_;
  const kernels::KernelChoices measured_;
  plan::Plan& plan_;
  std::set<ChoiceKey> seen_;  ///< by the first bucket
};

std::vector<kernels::ChoiceRow> shipped_rows(const kernels::OpTable& ops) {
  if (ops.shipped_choices == nullptr) return {};
  auto rows = kernels::parse_choice_table(ops.shipped_choices());
  CHECK(rows.has_value(), rows.error().message.c_str());
  return std::move(*rows);
}

/// Launches one after another, by op; of each the buckets in order.
void sort_by_op(std::vector<plan::KernelChoice>& choices) {
  std::ranges::stable_sort(choices, {}, [](const plan::KernelChoice& choice) {
    return kernels::choice_op_from_name(choice.op);
  });
}

}  // namespace

base::Result<> choose_kernels(const kernels::OpTable& ops,
                              const std::vector<kernels::ChoiceRow>* choices, plan::Plan& plan) {
  if (ops.choice_values == nullptr) {
    if (choices == nullptr) return {};
    return base::fail("kernel choices: kernels " + ops.name + " have none",
                      base::ErrorKind::kUnsupported);
  }
  const std::vector<kernels::ChoiceRow> shipped =
      choices == nullptr ? shipped_rows(ops) : std::vector<kernels::ChoiceRow>();
  const auto& rows = choices == nullptr ? shipped : *choices;
  Selection selection(ops, kernels::choices_for(rows, plan.device_kind), plan);
  for (const plan::Segment& segment : plan.program.segments) {
    for (const plan::Op& op : segment.ops) {
      std::visit([&](const auto& one) { selection.add(one); }, op);
    }
  }
  sort_by_op(plan.kernel_choices);
  if (plan.kernel_choices.empty()) return {};
  const auto measured = std::ranges::count(plan.kernel_choices, plan::KernelChoice::Source::kTable,
                                           &plan::KernelChoice::source);
  plan.reasons.push_back("choices: " + std::to_string(measured) + " of " +
                         std::to_string(plan.kernel_choices.size()) +
                         " as measured on a device of kind " + plan.device_kind);
  return {};
}

}  // namespace neuros::builder
