#include "kernels/f16_sums.h"

#include "base/check.h"
#include "base/float16.h"
#include "base/thread_pool.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

namespace neuros::kernels {
namespace {

constexpr int32_t kHeadDimMax = 1024;

/// One query head at one position of a sequence.
struct Query {
  const AttentionArgs& args;
  const SequenceSlice& sequence;
  const float* q;
  int32_t position, kv_head;
};

/// Key and value of one position, as stored.
struct Stored {
  const uint16_t* keys;
  const uint16_t* values;
  int32_t place;
};

Stored stored_at(const Query& query, int32_t position) {
  const KvCache& kv = query.args.kv;
  const int32_t page = query.sequence.pages[static_cast<size_t>(position / kv.layout.page_tokens)];
  return {reinterpret_cast<const uint16_t*>(kv.keys(page, query.args.layer, query.kv_head)),
          reinterpret_cast<const uint16_t*>(kv.values(page, query.args.layer, query.kv_head)),
          position % kv.layout.page_tokens};
}

float score(const Query& query, const Stored& stored) {
  const KvLayout& layout = query.args.kv.layout;
  float sum = 0.0f;
  for (int32_t i = 0; i < layout.head_dim; ++i) {
    sum += base::f16_to_float(base::float_to_f16(query.q[i])) *
           base::f16_to_float(stored.keys[layout.key_index(stored.place, i)]);
  }
  sum *= query.args.scale;
  const float cap = query.args.soft_cap;
  return cap > 0.0f ? cap * std::tanh(sum / cap) : sum;
}

void attend(const Query& query, float* out) {
  const KvLayout& layout = query.args.kv.layout;
  const int32_t window = query.args.window;
  std::array<uint16_t, kHeadDimMax> sums{};
  float largest = -std::numeric_limits<float>::infinity(), total = 0.0f;
  for (int32_t at = window > 0 ? std::max(0, query.position - window + 1) : 0; at <= query.position;
       ++at) {
    const Stored stored = stored_at(query, at);
    const float s = score(query, stored);
    const float shrink = s > largest ? std::exp(largest - s) : 1.0f;
    const float weight = s > largest ? 1.0f : std::exp(s - largest);
    largest = std::max(largest, s);
    for (int32_t i = 0; i < layout.head_dim; ++i) {
      uint16_t& sum = sums[static_cast<size_t>(i)];
      if (shrink != 1.0f) sum = base::float_to_f16(base::f16_to_float(sum) * shrink);
      const float value = base::f16_to_float(stored.values[layout.value_index(stored.place, i)]);
      sum = base::float_to_f16(std::fma(value, weight, base::f16_to_float(sum)));
    }
    total = total * shrink + weight;
  }
  for (int32_t i = 0; i < layout.head_dim; ++i) {
    out[i] = base::f16_to_float(sums[static_cast<size_t>(i)]) / total;
  }
}

void attention(const OpContext& context, const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  CHECK(layout.dtype == base::DType::kF16, "f16 sums need f16 keys and values");
  CHECK(layout.head_dim <= kHeadDimMax);
  const int32_t group = args.heads / layout.kv_heads;
  for (const SequenceSlice& sequence : args.sequences) {
    context.stream.cpu_workers()->parallel_for(
        int64_t{sequence.rows} * args.heads, 4, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            const auto row = static_cast<int32_t>(i / args.heads);
            const auto head = static_cast<int32_t>(i % args.heads);
            const int64_t at =
                (int64_t{sequence.first_row + row} * args.heads + head) * layout.head_dim;
            attend({args, sequence, args.q + at, sequence.first_position + row, head / group},
                   args.out + at);
          }
        });
  }
}

}  // namespace

const OpTable& with_f16_sums(const OpTable& base) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const OpTable>> tables;
  const std::lock_guard lock(mutex);
  auto& table = tables[base.name];
  if (table == nullptr) {
    OpTable changed = base;
    changed.name += kF16SumsSuffix;
    changed.attention = attention;
    table = std::make_unique<const OpTable>(std::move(changed));
  }
  return *table;
}

}  // namespace neuros::kernels
