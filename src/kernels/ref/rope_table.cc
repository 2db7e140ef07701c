#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::ref {

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  const int64_t pairs = std::ssize(args.inverse_frequency);
  for (const SequenceSlice& sequence : args.sequences) {
    for_rows(context, sequence.rows, [&](int64_t i, int) {
      const auto position = static_cast<double>(sequence.first_position + i);
      float* row = args.table + (sequence.first_row + i) * pairs * 2;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const double angle = position * args.inverse_frequency[static_cast<size_t>(pair)];
        row[2 * pair] = static_cast<float>(std::cos(angle) * args.magnitude);
        row[2 * pair + 1] = static_cast<float>(std::sin(angle) * args.magnitude);
      }
    });
  }
}

}  // namespace neuros::kernels::ref
