#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::ref {

double dot(std::span<const float> a, const float* b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

void rms_norm_row(std::span<const float> x, const float* weight, float epsilon, float* out) {
  const double mean_square = dot(x, x.data()) / static_cast<double>(x.size());
  const double factor = 1.0 / std::sqrt(mean_square + epsilon);
  for (size_t i = 0; i < x.size(); ++i) out[i] = static_cast<float>(x[i] * factor * weight[i]);
}

void rms_norm(const OpContext& context, const RmsNormArgs& args) {
  for_rows(context, args.tokens, [&](int64_t row, int) {
    const std::span x(args.x + row * args.cols, static_cast<size_t>(args.cols));
    rms_norm_row(x, args.weight, args.epsilon, args.out + row * args.cols);
  });
}

}  // namespace neuros::kernels::ref
