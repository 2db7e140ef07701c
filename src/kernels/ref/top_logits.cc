#include "kernels/top_logits.h"

#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::ref {
namespace {

bool better(const TopLogit& a, const TopLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// Keeps the best seen so far in order, by insertion.
void insert(const TopLogit& logit, std::span<TopLogit> best) {
  if (!better(logit, best.back())) return;
  auto place = std::ranges::upper_bound(best, logit, better);
  std::move_backward(place, best.end() - 1, best.end());
  *place = logit;
}

TopLogits top_of(std::span<const float> logits) {
  TopLogits top{.vocabulary = static_cast<int32_t>(logits.size())};
  const auto count = static_cast<ptrdiff_t>(top.candidates().size());
  for (ptrdiff_t i = 0; i < count; ++i) {
    top.best[static_cast<size_t>(i)] = {logits[static_cast<size_t>(i)], static_cast<int32_t>(i)};
  }
  std::sort(top.best.begin(), top.best.begin() + count, better);
  for (size_t i = static_cast<size_t>(count); i < logits.size(); ++i) {
    insert({logits[i], static_cast<int32_t>(i)}, top.best);
  }
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top.best[0].logit);
  top.sum = static_cast<float>(sum);
  return top;
}

}  // namespace

void top_logits(const OpContext& context, const TopLogitsArgs& args) {
  for_rows(context, args.rows, [&](int64_t row, int) {
    args.out[row] =
        top_of({args.logits + row * args.vocabulary, static_cast<size_t>(args.vocabulary)});
  });
}

}  // namespace neuros::kernels::ref
