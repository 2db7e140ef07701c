#pragma once

/// Pairs of ops. What an op leaves only to the op after it need not go through memory as floats:
/// the first of the two waits for the second, and both run together.

#include "kernels/attention.h"
#include "kernels/cuda/pass_ops.h"
#include "kernels/gate_up.h"
#include "kernels/linear.h"

#include <variant>

namespace neuros::kernels::cuda {

class OpPairs final : public PassOps {
 public:
  explicit OpPairs(const OpContext& context) : context_(alone(context)) {}

  /// True: it waits for the next op.
  bool add(const AttentionArgs& args);
  bool add(const GateUpArgs& args);
  /// True: it has been launched with the op that waited for it. False: what waited has been
  /// launched, and this op must launch itself.
  bool add(const LinearArgs& args);
  void flush() override;

 private:
  using Waiting = std::variant<std::monostate, AttentionArgs, GateUpArgs>;

  OpContext context_;
  Waiting waiting_;
};

/// The pass that collects, or null.
inline OpPairs* op_pairs(const OpContext& context) {
  return dynamic_cast<OpPairs*>(context.fusion);
}

}  // namespace neuros::kernels::cuda
