#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/rope_powers.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::llama_cpp {

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  const std::span<const float> frequencies = args.inverse_frequency;
  const bool powers = are_powers(frequencies);
  for (const SequenceSlice& sequence : args.sequences) {
    ref::for_rows(context, sequence.rows, [&](int64_t i, int) {
      const auto position = static_cast<float>(sequence.first_position + i);
      float* row = args.table + (sequence.first_row + i) * std::ssize(frequencies) * 2;
      float angle = 0.0f;
      for (size_t pair = 0; pair < frequencies.size(); ++pair) {
        angle = powers && pair > 0 ? angle * frequencies[1] : position * frequencies[pair];
        row[2 * pair] = std::cos(angle) * args.magnitude;
        row[2 * pair + 1] = std::sin(angle) * args.magnitude;
      }
    });
  }
}

}  // namespace neuros::kernels::llama_cpp
