#pragma once

#include "base/result.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

namespace neuros::runtime {

/// What only kernels can judge of a plan that agrees with itself (plan::validate): that it was made
/// for these, as they are in this program. Fails where an op is missing, a weight is packed for
/// another kernel or has other bytes, scratch or host memory do not suffice, or a kernel choice is
/// none of the kernels'.
base::Result<> check_plan(const plan::Plan& plan, const kernels::OpTable& ops);

/// The most that any batch of the plan asks of kernels.
kernels::OpLimits op_limits(const plan::Plan& plan);

}  // namespace neuros::runtime
