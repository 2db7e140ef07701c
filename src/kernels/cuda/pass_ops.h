#pragma once

/// What ops of a pass have to do with each other (OpTable::run_pass).

#include "kernels/op_context.h"

namespace neuros::kernels::cuda {

/// Ops that do not launch at once. An op first asks whether it can be added to them; one that
/// cannot calls flush_pass() before it launches.
class PassOps : public PassFusion {
 public:
  /// Launches what there is.
  virtual void flush() = 0;
};

inline void flush_pass(const OpContext& context) {
  if (context.fusion != nullptr) static_cast<PassOps*>(context.fusion)->flush();
}

/// The context of ops that launch themselves.
inline OpContext alone(OpContext context) {
  context.fusion = nullptr;
  return context;
}

}  // namespace neuros::kernels::cuda
