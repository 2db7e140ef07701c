#include "plan/plan.h"

#include <cstdio>
#include <tuple>

namespace neuros::plan {
namespace {

/// Whether a value is two numbers: 100 times the blocks that share a tile, and its panels.
bool has_blocks(const KernelChoice& choice) {
  return choice.op.starts_with("decode_many") && !base::is_quantised(choice.dtype);
}

/// What the values of an op are.
const char* unit_of(const KernelChoice& choice) {
  if (choice.op.starts_with("prompt")) return "tile tokens";
  if (has_blocks(choice)) return "blocks x tile panels";
  return choice.op.starts_with("decode_many") ? "tile panels" : "one kernel";
}

std::string value_text(const KernelChoice& choice) {
  std::string text = std::to_string(choice.value);
  if (has_blocks(choice)) {
    text = std::to_string(choice.value / 100) + "x" + std::to_string(choice.value % 100);
  }
  if (choice.op == "decode_step") text = choice.value != 0 ? "yes" : "no";
  if (choice.op.starts_with("prompt") && choice.value == 384) text = "256+128";
  return choice.source == KernelChoice::Source::kTable ? text + "*" : text;
}

bool same_launch(const KernelChoice& a, const KernelChoice& b) {
  return std::tie(a.op, a.dtype, a.rows, a.cols) == std::tie(b.op, b.dtype, b.rows, b.cols);
}

std::string launch_text(const KernelChoice& choice) {
  char line[160];
  const std::string shape = std::to_string(choice.rows) + "x" + std::to_string(choice.cols);
  std::snprintf(line, sizeof(line), "  %-17s %-8s %-14s %s ", choice.op.c_str(),
                std::string(base::name(choice.dtype)).c_str(), shape.c_str(), unit_of(choice));
  return line;
}

}  // namespace

std::string describe_choices(const Plan& plan) {
  if (plan.kernel_choices.empty()) return "";
  std::string text = "choices on " + plan.device_kind +
                     " (tokens: way; * as measured ahead, the others by the kernels' estimate)";
  const KernelChoice* last = nullptr;
  for (const KernelChoice& choice : plan.kernel_choices) {
    if (last == nullptr || !same_launch(*last, choice)) text += "\n" + launch_text(choice);
    text += " " + std::to_string(choice.tokens) + ": " + value_text(choice);
    last = &choice;
  }
  return text + "\n";
}

}  // namespace neuros::plan
