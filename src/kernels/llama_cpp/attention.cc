#include "kernels/attention.h"

#include "base/check.h"
#include "base/float16.h"
#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/workspace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace neuros::kernels::llama_cpp {
namespace {

constexpr size_t kHeadDimMax = 1024;
using Head = std::array<float, kHeadDimMax>;

float rounded(float value) {
  return base::f16_to_float(base::float_to_f16(value));
}

/// One query head at one position of a sequence; q rounded to f16.
struct Query {
  const AttentionArgs& args;
  const SequenceSlice& sequence;
  int32_t position, kv_head;
  Head q;

  size_t head_dim() const { return static_cast<size_t>(args.kv.layout.head_dim); }
  int32_t first_visible() const {
    return args.window > 0 ? std::max(0, position - args.window + 1) : 0;
  }
};

/// Key and value of one position, widened.
struct Stored {
  Head key, value;
};

void load(const Query& query, int32_t position, Stored& stored) {
  const KvCache& kv = query.args.kv;
  const KvLayout& layout = kv.layout;
  const int32_t page = query.sequence.pages[static_cast<size_t>(position / layout.page_tokens)];
  const int32_t place = position % layout.page_tokens;
  const auto* keys =
      reinterpret_cast<const uint16_t*>(kv.keys(page, query.args.layer, query.kv_head));
  const auto* values =
      reinterpret_cast<const uint16_t*>(kv.values(page, query.args.layer, query.kv_head));
  for (int32_t i = 0; i < layout.head_dim; ++i) {
    stored.key[static_cast<size_t>(i)] = base::f16_to_float(keys[layout.key_index(place, i)]);
    stored.value[static_cast<size_t>(i)] = base::f16_to_float(values[layout.value_index(place, i)]);
  }
}

float score(const Query& query, const Head& key) {
  const size_t size = query.head_dim();
  double sum = dot_blocks({key.data(), size}, query.q.data());
  for (size_t i = whole_blocks(size); i < size; ++i) {
    sum += static_cast<double>(key[i] * query.q[i]);
  }
  const float cap = query.args.soft_cap;
  if (cap <= 0.0f) return static_cast<float>(sum) * query.args.scale;
  return cap * std::tanh(static_cast<float>(sum) * (query.args.scale / cap));
}

/// One pass: when a score is the largest yet, what was summed shrinks to it.
void attend(const Query& query, float* out) {
  Stored stored;
  Head sums{};
  float largest = -std::numeric_limits<float>::infinity(), total = 0.0f;
  for (int32_t at = query.first_visible(); at <= query.position; ++at) {
    load(query, at, stored);
    const float s = score(query, stored.key);
    const float shrink = s > largest ? std::exp(largest - s) : 1.0f;
    const float weight = s > largest ? 1.0f : std::exp(s - largest);
    largest = std::max(largest, s);
    for (size_t i = 0; i < query.head_dim(); ++i) {
      if (shrink != 1.0f) sums[i] = rounded(sums[i] * shrink);
      sums[i] = rounded(std::fma(stored.value[i], weight, sums[i]));
    }
    total = std::fma(total, shrink, weight);
  }
  const float inverse = 1.0f / total;
  for (size_t i = 0; i < query.head_dim(); ++i) out[i] = sums[i] * inverse;
}

void attend_row(const AttentionArgs& args, const SequenceSlice& sequence, int32_t row,
                int32_t head) {
  const int32_t head_dim = args.kv.layout.head_dim, group = args.heads / args.kv.layout.kv_heads;
  const int64_t at = (int64_t{sequence.first_row + row} * args.heads + head) * head_dim;
  Query query{args, sequence, sequence.first_position + row, head / group, {}};
  std::transform(args.q + at, args.q + at + head_dim, query.q.begin(), rounded);
  attend(query, args.out + at);
}

}  // namespace

void attention(const OpContext& context, const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  CHECK(layout.dtype == base::DType::kF16, "llama.cpp's attention needs f16 keys and values");
  CHECK(static_cast<size_t>(layout.head_dim) <= kHeadDimMax);
  for (const SequenceSlice& sequence : args.sequences) {
    ref::for_rows(context, int64_t{sequence.rows} * args.heads, [&](int64_t i, int) {
      attend_row(args, sequence, static_cast<int32_t>(i / args.heads),
                 static_cast<int32_t>(i % args.heads));
    });
  }
}

}  // namespace neuros::kernels::llama_cpp
