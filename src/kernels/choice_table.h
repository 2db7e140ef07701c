#pragma once

/// A file of kernel choices: docs/formats/kernel-choices.md.

#include "base/result.h"
#include "kernels/kernel_choices.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::kernels {

struct ChoiceRow {
  std::string device;  ///< its kind: "sm_90/132"
  KernelChoice choice;
  double time_us = 0, default_us = 0;  ///< by this choice, and by the kernels' own estimate
};

/// Errors name the line and the value: "line 3: rows 0, expected 1 to 1099511627776".
base::Result<std::vector<ChoiceRow>> parse_choice_table(std::string_view text);

/// What parse_choice_table() reads.
std::string format_choice_table(std::span<const ChoiceRow> rows);

/// The rows of one kind of device.
KernelChoices choices_for(std::span<const ChoiceRow> rows, std::string_view device);

}  // namespace neuros::kernels
