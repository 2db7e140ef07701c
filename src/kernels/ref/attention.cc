#include "kernels/attention.h"

#include "base/float16.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace neuros::kernels::ref {
namespace {

double read_element(base::DType dtype, const std::byte* from, int64_t index) {
  if (dtype == base::DType::kF32) {
    float value;
    std::memcpy(&value, from + 4 * index, sizeof(value));
    return value;
  }
  CHECK(dtype == base::DType::kF16 || dtype == base::DType::kBF16);
  uint16_t bits;
  std::memcpy(&bits, from + 2 * index, sizeof(bits));
  return dtype == base::DType::kF16 ? base::f16_to_float(bits) : base::bf16_to_float(bits);
}

/// One query head at one position of one sequence.
struct Query {
  const AttentionArgs& args;
  const SequenceSlice& sequence;
  const float* q;
  int32_t position;
  int32_t kv_head;

  int32_t first_visible() const {
    return args.window > 0 ? std::max(0, position - args.window + 1) : 0;
  }
  int32_t page(int32_t at) const {
    return sequence.pages[static_cast<size_t>(at / args.kv.layout.page_tokens)];
  }
  int32_t place(int32_t at) const { return at % args.kv.layout.page_tokens; }
  double score(int32_t at) const {
    const KvLayout& layout = args.kv.layout;
    const std::byte* keys = args.kv.keys(page(at), args.layer, kv_head);
    double sum = 0.0;
    for (int32_t i = 0; i < layout.head_dim; ++i) {
      sum += q[i] * read_element(layout.dtype, keys, layout.key_index(place(at), i));
    }
    sum *= args.scale;
    return args.soft_cap > 0.0f ? args.soft_cap * std::tanh(sum / args.soft_cap) : sum;
  }
};

/// Two passes over the visible positions: the largest score, then the weighted sum of the values.
void attend(const Query& query, std::span<double> sums, float* out) {
  const KvLayout& layout = query.args.kv.layout;
  double largest = -std::numeric_limits<double>::infinity();
  for (int32_t at = query.first_visible(); at <= query.position; ++at) {
    largest = std::max(largest, query.score(at));
  }
  double total = 0.0;
  std::fill(sums.begin(), sums.end(), 0.0);
  for (int32_t at = query.first_visible(); at <= query.position; ++at) {
    const double weight = std::exp(query.score(at) - largest);
    const std::byte* values = query.args.kv.values(query.page(at), query.args.layer, query.kv_head);
    total += weight;
    for (int32_t i = 0; i < layout.head_dim; ++i) {
      sums[static_cast<size_t>(i)] +=
          weight * read_element(layout.dtype, values, layout.value_index(query.place(at), i));
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) out[i] = static_cast<float>(sums[i] / total);
}

}  // namespace

void attention(const OpContext& context, const AttentionArgs& args) {
  const int32_t head_dim = args.kv.layout.head_dim;
  const int32_t group = args.heads / args.kv.layout.kv_heads;
  const std::span sums =
      Workspace(context).take<double>(static_cast<int64_t>(workers(context)) * head_dim);
  for (const SequenceSlice& sequence : args.sequences) {
    const int64_t queries = static_cast<int64_t>(sequence.rows) * args.heads;
    for_rows(context, queries, [&](int64_t index, int worker) {
      const auto i = static_cast<int32_t>(index / args.heads);
      const auto head = static_cast<int32_t>(index % args.heads);
      const int64_t offset =
          (static_cast<int64_t>(sequence.first_row + i) * args.heads + head) * head_dim;
      const Query query{args, sequence, args.q + offset, sequence.first_position + i, head / group};
      attend(query,
             sums.subspan(static_cast<size_t>(worker) * static_cast<size_t>(head_dim),
                          static_cast<size_t>(head_dim)),
             args.out + offset);
    });
  }
}

}  // namespace neuros::kernels::ref
