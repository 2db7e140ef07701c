#pragma once

/// What kernel_choices.h means here: which ways a launch has, and which one it takes.

#include "kernels/kernel_choices.h"
#include "kernels/op_context.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace neuros::kernels::cuda {

/// OpTable::choice_values. Estimates ask the current GPU where it is of the kind.
std::vector<int32_t> choice_values(std::string_view device_kind, const ChoiceKey& key);

/// The tables in choices/, which the program carries.
std::string_view shipped_choices();

/// What was chosen for a launch, or `fallback`.
inline int32_t chosen_or(const OpContext& context, const ChoiceKey& key, int32_t fallback) {
  return context.choices == nullptr ? fallback : context.choices->find(key).value_or(fallback);
}

/// ChoiceOp::kDecodeStep: whether the kernel can take a matrix, which it then does unless something
/// else was chosen.
bool fits_step(const ChoiceKey& key);

}  // namespace neuros::kernels::cuda
