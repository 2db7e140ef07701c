#pragma once

#include "base/result.h"
#include "kernels/choice_table.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

#include <vector>

namespace neuros::builder {

/// Fills plan.kernel_choices for the products of its program, for all numbers of tokens within its
/// limits: by `choices`, or by what the table of ops ships if that is null; where neither has a
/// row, by the kernels' estimate. Fails where `choices` are given and these ops have no use for
/// them.
base::Result<> choose_kernels(const kernels::OpTable& ops,
                              const std::vector<kernels::ChoiceRow>* choices, plan::Plan& plan);

}  // namespace neuros::builder
