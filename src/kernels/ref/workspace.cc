#include "kernels/ref/workspace.h"

#include "base/thread_pool.h"

namespace neuros::kernels::ref {

int workers(const OpContext& context) {
  CHECK(context.stream.cpu_workers() != nullptr, "reference ops run on CPU streams");
  return context.stream.cpu_workers()->size();
}

void for_rows(const OpContext& context, int64_t rows,
              base::FunctionRef<void(int64_t row, int worker)> body) {
  CHECK(workers(context) > 0);
  context.stream.cpu_workers()->parallel_for(rows, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t row = begin; row < end; ++row) body(row, worker);
  });
}

int64_t scratch_bytes(const OpLimits& limits) {
  const auto floats = [](int64_t count) {
    return static_cast<int64_t>(Workspace::padded(static_cast<size_t>(count) * sizeof(float)));
  };
  const int64_t normed = floats(limits.tokens * limits.cols);
  const int64_t keys_and_values = 2 * floats(limits.tokens * limits.heads * limits.head_dim);
  const int64_t weight_rows = 2 * floats(limits.workers * limits.cols);
  const int64_t attention_sums = 2 * floats(limits.workers * limits.head_dim);
  return normed + keys_and_values + weight_rows + attention_sums + 64;
}

}  // namespace neuros::kernels::ref
