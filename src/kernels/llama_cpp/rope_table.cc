#include "kernels/llama_cpp/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::llama_cpp {
namespace {

/// Whether the frequencies are the powers of the second: true unless the context is scaled.
bool are_powers(std::span<const float> frequencies) {
  constexpr float kRounding = 1e-5f;
  float power = 1.0f;
  for (const float frequency : frequencies) {
    if (std::abs(frequency - power) > kRounding * power) return false;
    power *= frequencies.size() > 1 ? frequencies[1] : 1.0f;
  }
  return true;
}

}  // namespace

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  const std::span<const float> frequencies = args.inverse_frequency;
  const bool powers = are_powers(frequencies);
  for (const SequenceSlice& sequence : args.sequences) {
    ref::for_rows(context, sequence.rows, [&](int64_t i, int) {
      const auto position = static_cast<float>(sequence.first_position + i);
      float* row = args.table + (sequence.first_row + i) * std::ssize(frequencies) * 2;
      float angle = 0.0f;
      for (size_t pair = 0; pair < frequencies.size(); ++pair) {
        // Powers are made by repeated multiplication, which rounds each time.
        angle = powers && pair > 0 ? angle * frequencies[1] : position * frequencies[pair];
        row[2 * pair] = std::cos(angle) * args.magnitude;
        row[2 * pair + 1] = std::sin(angle) * args.magnitude;
      }
    });
  }
}

}  // namespace neuros::kernels::llama_cpp
