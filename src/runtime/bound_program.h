#pragma once

#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/arenas.h"
#include "runtime/weights.h"

#include <variant>
#include <vector>

namespace neuros::runtime {

/// A linear layer with the kernel of its weight's type.
struct BoundLinear {
  const kernels::LinearKernel* kernel = nullptr;
  kernels::LinearArgs args;
};

/// An op's kernel arguments with every address in place; what changes from batch to batch (rows,
/// sequences, ids) is empty.
using BoundOp =
    std::variant<kernels::EmbedArgs, kernels::RopeTableArgs, kernels::QkvRopeArgs,
                 kernels::AttentionArgs, BoundLinear, kernels::GateUpArgs, kernels::LogitsArgs>;

/// The ops of all segments in order. `plan` and `arenas` outlive the result. The plan was checked
/// when its weights were loaded; an op the table lacks is a CHECK.
std::vector<BoundOp> bind_program(const plan::Plan& plan, const kernels::OpTable& ops,
                                  const Arenas& arenas);

}  // namespace neuros::runtime
