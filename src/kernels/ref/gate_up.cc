#include "kernels/gate_up.h"

#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::ref {

void gate_up(const OpContext& context, const GateUpArgs& args) {
  const int64_t hidden = args.gate.cols, ffn = args.gate.rows;
  Workspace workspace(context);
  const std::span normed = workspace.take<float>(args.tokens * hidden);
  const std::span weights = workspace.take<float>(2 * workers(context) * hidden);
  rms_norm(context, {args.x, args.norm_weight, normed.data(), args.tokens, hidden, args.epsilon});
  for_rows(context, ffn, [&](int64_t row, int worker) {
    const std::span both =
        weights.subspan(static_cast<size_t>(2 * worker * hidden), static_cast<size_t>(2 * hidden));
    const std::span gate = both.first(static_cast<size_t>(hidden));
    const std::span up = both.last(static_cast<size_t>(hidden));
    read_row(args.gate, row, gate);
    read_row(args.up, row, up);
    for (int64_t token = 0; token < args.tokens; ++token) {
      const float* h = normed.data() + token * hidden;
      const double g = dot(gate, h);
      args.out[token * ffn + row] = static_cast<float>(g / (1.0 + std::exp(-g)) * dot(up, h));
    }
  });
}

}  // namespace neuros::kernels::ref
