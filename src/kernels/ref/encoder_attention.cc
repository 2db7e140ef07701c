#include "kernels/encoder_attention.h"

#include "base/float16.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace neuros::kernels::ref {
namespace {

/// One head of one row, and the keys and values of its item.
struct Query {
  const EncoderAttentionArgs& args;
  int32_t row;
  int32_t head;
  int32_t first, end;  ///< rows of the item

  const uint16_t* at(const uint16_t* matrix, int64_t stride, int32_t which) const {
    return matrix + which * stride + int64_t{head} * args.head_dim;
  }
  double score(int32_t key) const {
    const uint16_t* q = at(args.q, args.q_stride, row);
    const uint16_t* k = at(args.k, args.k_stride, key);
    double sum = 0.0;
    for (int32_t i = 0; i < args.head_dim; ++i) {
      sum += static_cast<double>(base::f16_to_float(q[i])) * base::f16_to_float(k[i]);
    }
    return sum * args.scale;
  }
};

/// Two passes over the keys: the largest score, then the weighted sum of the values.
void attend(const Query& query, std::span<double> sums) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int32_t key = query.first; key < query.end; ++key) {
    largest = std::max(largest, query.score(key));
  }
  double total = 0.0;
  std::ranges::fill(sums, 0.0);
  for (int32_t key = query.first; key < query.end; ++key) {
    const double weight = std::exp(query.score(key) - largest);
    const uint16_t* value = query.at(query.args.v, query.args.v_stride, key);
    total += weight;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += weight * base::f16_to_float(value[i]);
  }
  uint16_t* out = query.args.out + query.row * query.args.out_stride +
                  int64_t{query.head} * query.args.head_dim;
  for (size_t i = 0; i < sums.size(); ++i) {
    out[i] = base::float_to_f16(static_cast<float>(sums[i] / total));
  }
}

}  // namespace

void encoder_attention(const OpContext& context, const EncoderAttentionArgs& args) {
  const std::span sums =
      Workspace(context).take<double>(static_cast<int64_t>(workers(context)) * args.head_dim);
  for (size_t item = 0; item + 1 < args.starts.size(); ++item) {
    const int32_t first = args.starts[item], end = args.starts[item + 1];
    for_rows(context, static_cast<int64_t>(end - first) * args.heads, [&](int64_t i, int worker) {
      const auto row = static_cast<int32_t>(first + i / args.heads);
      const auto head = static_cast<int32_t>(i % args.heads);
      const auto dims = static_cast<size_t>(args.head_dim);
      attend({args, row, head, first, end}, sums.subspan(static_cast<size_t>(worker) * dims, dims));
    });
  }
}

}  // namespace neuros::kernels::ref
