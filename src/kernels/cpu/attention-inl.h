/// Flash-style attention over pages (https://arxiv.org/abs/2205.14135), for the current Highway
/// target. A unit walks the pages of its sequence in order with running maxima and sums; a page is
/// one step for every query, whatever part of a prompt the batch holds, so that a row's result does
/// not depend on how its prompt was cut.
/// HWY_TARGET_TOGGLE: included once per target.

#if defined(NEUROS_KERNELS_CPU_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NEUROS_KERNELS_CPU_ATTENTION_INL_H_
#undef NEUROS_KERNELS_CPU_ATTENTION_INL_H_
#else
#define NEUROS_KERNELS_CPU_ATTENTION_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace neuros::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Queries whose products are kept in registers together.
constexpr int kQueryTile = 4;

/// One KV head's page as floats, and what is computed on it.
struct PageTile {
  const float* keys;    ///< [head_dim, page_tokens]
  const float* values;  ///< [page_tokens, head_dim]
};

/// Working memory of a unit, carved from its scratch.
struct UnitState {
  float* out;     ///< [queries, head_dim] sums so far
  float* scores;  ///< [queries, page_tokens]
  float* maxima;  ///< [queries]
  float* sums;    ///< [queries]
  float* keys;    ///< one page as floats
  float* values;
};

HWY_INLINE void widen(const std::byte* from, int64_t count, base::DType dtype, float* to) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if (dtype == base::DType::kF16) {
    const hn::Rebind<hwy::float16_t, decltype(d)> half;
    const auto* source = reinterpret_cast<const hwy::float16_t*>(from);
    for (; i + lanes <= count; i += lanes) {
      hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, source + i)), d, to + i);
    }
    const auto* bits = reinterpret_cast<const uint16_t*>(from);
    for (; i < count; ++i) to[i] = base::f16_to_float(bits[i]);
  } else {
    const auto* bits = reinterpret_cast<const uint16_t*>(from);
    for (; i < count; ++i) to[i] = base::bf16_to_float(bits[i]);
  }
}

/// The page's floats: in place for f32, widened into the unit's memory otherwise.
HWY_INLINE PageTile load_page(const AttentionUnit& unit, const UnitState& state, int32_t page) {
  const AttentionArgs& args = *unit.args;
  const KvLayout& layout = args.kv.layout;
  const std::byte* keys = args.kv.keys(page, args.layer, unit.kv_head);
  const std::byte* values = args.kv.values(page, args.layer, unit.kv_head);
  if (layout.dtype == base::DType::kF32) {
    return {reinterpret_cast<const float*>(keys), reinterpret_cast<const float*>(values)};
  }
  const int64_t count = int64_t{layout.page_tokens} * layout.head_dim;
  widen(keys, count, layout.dtype, state.keys);
  widen(values, count, layout.dtype, state.values);
  return {state.keys, state.values};
}

/// scores[n][t] = q_n . k_t for N queries and the page's positions from `t` on, two vectors wide.
template <int N>
HWY_INLINE void score_tile(const float* const* queries, const PageTile& page, int32_t head_dim,
                           int32_t page_tokens, int32_t t, float* const* scores) {
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  using V = hn::Vec<decltype(d)>;
  V low[N], high[N];
  NEUROS_UNROLL for (int n = 0; n < N; ++n) low[n] = high[n] = hn::Zero(d);
  const float* keys = page.keys + t;
  const bool two = t + 2 * lanes <= page_tokens;
  for (int32_t i = 0; i < head_dim; ++i) {
    const V k0 = hn::LoadU(d, keys + static_cast<int64_t>(i) * page_tokens);
    const V k1 = two ? hn::LoadU(d, keys + static_cast<int64_t>(i) * page_tokens + lanes) : k0;
    NEUROS_UNROLL for (int n = 0; n < N; ++n) {
      const V q = hn::Set(d, queries[n][i]);
      low[n] = hn::MulAdd(q, k0, low[n]);
      high[n] = hn::MulAdd(q, k1, high[n]);
    }
  }
  NEUROS_UNROLL for (int n = 0; n < N; ++n) {
    hn::StoreU(low[n], d, scores[n] + t);
    if (two) hn::StoreU(high[n], d, scores[n] + t + lanes);
  }
}

/// Scores of N queries over the whole page; page_tokens is a multiple of 16.
template <int N>
HWY_INLINE void score_page(const float* const* queries, const PageTile& page, int32_t head_dim,
                           int32_t page_tokens, float* const* scores) {
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  for (int32_t t = 0; t < page_tokens; t += 2 * lanes) {
    score_tile<N>(queries, page, head_dim, page_tokens, t, scores);
  }
}

/// out_n = out_n * factor_n + sum over places [low, high) of weights_n[t] * values[t].
template <int N>
HWY_INLINE void gather_values(const PageTile& page, int32_t head_dim, int32_t low, int32_t high,
                              const float* const* weights, const float* factors,
                              float* const* outs) {
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  using V = hn::Vec<decltype(d)>;
  int32_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    V a[N], b[N];
    NEUROS_UNROLL for (int n = 0; n < N; ++n) {
      a[n] = hn::Mul(hn::LoadU(d, outs[n] + i), hn::Set(d, factors[n]));
      b[n] = hn::Mul(hn::LoadU(d, outs[n] + i + lanes), hn::Set(d, factors[n]));
    }
    for (int32_t t = low; t < high; ++t) {
      const float* value = page.values + static_cast<int64_t>(t) * head_dim + i;
      const V v0 = hn::LoadU(d, value), v1 = hn::LoadU(d, value + lanes);
      NEUROS_UNROLL for (int n = 0; n < N; ++n) {
        const V w = hn::Set(d, weights[n][t]);
        a[n] = hn::MulAdd(w, v0, a[n]);
        b[n] = hn::MulAdd(w, v1, b[n]);
      }
    }
    NEUROS_UNROLL for (int n = 0; n < N; ++n) {
      hn::StoreU(a[n], d, outs[n] + i);
      hn::StoreU(b[n], d, outs[n] + i + lanes);
    }
  }
  for (; i < head_dim; ++i) {
    NEUROS_UNROLL for (int n = 0; n < N; ++n) {
      float sum = outs[n][i] * factors[n];
      for (int32_t t = low; t < high; ++t) {
        sum = std::fma(weights[n][t], page.values[static_cast<int64_t>(t) * head_dim + i], sum);
      }
      outs[n][i] = sum;
    }
  }
}

/// score = cap * tanh(score / cap) for the places [low, high).
inline void cap_scores(float cap, int32_t low, int32_t high, float* scores) {
  for (int32_t t = low; t < high; ++t) scores[t] = cap * std::tanh(scores[t] / cap);
}

/// Scale, soft cap and softmax numerators of one query's visible places [low, high) of a page; the
/// other places become 0. Returns the factor by which former sums shrink. Places are summed by
/// their position in the page, so that the batch does not matter.
HWY_INLINE float weigh(const AttentionArgs& args, int32_t low, int32_t high, float* scores,
                       float& maximum, float& sum) {
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  const int32_t page_tokens = args.kv.layout.page_tokens;
  if (low >= high) {
    std::memset(scores, 0, sizeof(float) * static_cast<size_t>(page_tokens));
    return 1.0f;
  }
  const auto visible = [=](int32_t t) HWY_ATTR {
    return hn::AndNot(hn::FirstN(d, static_cast<size_t>(std::clamp(low - t, 0, lanes))),
                      hn::FirstN(d, static_cast<size_t>(std::clamp(high - t, 0, lanes))));
  };
  auto largest_of_lane = hn::Set(d, maximum);
  for (int32_t t = 0; t < page_tokens; t += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + t), hn::Set(d, args.scale)), d, scores + t);
  }
  if (args.soft_cap > 0.0f) cap_scores(args.soft_cap, low, high, scores);
  for (int32_t t = 0; t < page_tokens; t += lanes) {
    const auto score = hn::LoadU(d, scores + t);
    largest_of_lane = hn::IfThenElse(visible(t), hn::Max(largest_of_lane, score), largest_of_lane);
  }
  const float largest = hn::GetLane(hn::MaxOfLanes(d, largest_of_lane));
  auto added = hn::Zero(d);
  for (int32_t t = 0; t < page_tokens; t += lanes) {
    const auto shifted = hn::Sub(hn::LoadU(d, scores + t), hn::Set(d, largest));
    const auto seen = visible(t);
    const auto weight = hn::IfThenElseZero(seen, hn::Exp(d, hn::IfThenElseZero(seen, shifted)));
    hn::StoreU(weight, d, scores + t);
    added = hn::Add(added, weight);
  }
  const float factor = sum == 0.0f ? 0.0f : std::exp(maximum - largest);
  sum = sum * factor + hn::GetLane(hn::SumOfLanes(d, added));
  maximum = largest;
  return factor;
}

HWY_INLINE UnitState carve(const AttentionUnit& unit, int32_t queries) {
  const KvLayout& layout = unit.args->kv.layout;
  const int64_t page_floats = int64_t{layout.page_tokens} * layout.head_dim;
  UnitState state;
  state.keys = unit.scratch;
  state.values = state.keys + page_floats;
  state.out = state.values + page_floats;
  state.scores = state.out + int64_t{queries} * layout.head_dim;
  state.maxima = state.scores + int64_t{queries} * layout.page_tokens;
  state.sums = state.maxima + queries;
  return state;
}

/// N queries from `first` on, over one page.
template <int N>
HWY_INLINE void step(const AttentionUnit& unit, const UnitState& state, const PageTile& page,
                     int32_t page_start, int32_t group, int32_t first) {
  const AttentionArgs& args = *unit.args;
  const KvLayout& layout = args.kv.layout;
  const float* queries[N];
  float* scores[N];
  float* outs[N];
  float factors[N];
  NEUROS_UNROLL for (int n = 0; n < N; ++n) {
    const int32_t query = first + n, row = query / group, head = query % group;
    const int64_t at = unit.sequence->first_row + unit.first + row;
    queries[n] = args.q + (at * args.heads + unit.kv_head * group + head) * layout.head_dim;
    scores[n] = state.scores + int64_t{query} * layout.page_tokens;
    outs[n] = state.out + int64_t{query} * layout.head_dim;
  }
  score_page<N>(queries, page, layout.head_dim, layout.page_tokens, scores);
  int32_t least = layout.page_tokens, most = 0;
  NEUROS_UNROLL for (int n = 0; n < N; ++n) {
    const int32_t query = first + n;
    const int32_t position = unit.sequence->first_position + unit.first + query / group;
    const int32_t begin = args.window > 0 ? position - args.window + 1 : 0;
    const int32_t low = begin > page_start ? begin - page_start : 0;
    const int32_t end = position + 1 - page_start;
    const int32_t high = end < layout.page_tokens ? end : layout.page_tokens;
    factors[n] = weigh(args, low, high, scores[n], state.maxima[query], state.sums[query]);
    if (low < high) {
      least = low < least ? low : least;
      most = high > most ? high : most;
    }
  }
  gather_values<N>(page, layout.head_dim, least < most ? least : 0, most, scores, factors, outs);
}

inline void attend(const AttentionUnit& unit) {
  const AttentionArgs& args = *unit.args;
  const KvLayout& layout = args.kv.layout;
  const int32_t group = args.heads / layout.kv_heads;
  const int32_t queries = unit.rows * group;
  const UnitState state = carve(unit, queries);
  for (int32_t i = 0; i < queries; ++i) {
    state.maxima[i] = -3.0e38f;
    state.sums[i] = 0.0f;
  }
  std::memset(state.out, 0, sizeof(float) * static_cast<size_t>(queries * layout.head_dim));
  const int32_t first = unit.sequence->first_position + unit.first;
  const int32_t last = first + unit.rows - 1;
  const int32_t begin = args.window > 0 && first >= args.window ? first - args.window + 1 : 0;
  for (int32_t p = begin / layout.page_tokens; p <= last / layout.page_tokens; ++p) {
    const PageTile page = load_page(unit, state, unit.sequence->pages[static_cast<size_t>(p)]);
    const int32_t start = p * layout.page_tokens;
    int32_t query = 0;
    for (; query + kQueryTile <= queries; query += kQueryTile) {
      step<kQueryTile>(unit, state, page, start, group, query);
    }
    for (; query < queries; ++query) step<1>(unit, state, page, start, group, query);
  }
  for (int32_t i = 0; i < queries; ++i) {
    const int64_t row = unit.sequence->first_row + unit.first + i / group;
    float* out = args.out + (row * args.heads + unit.kv_head * group + i % group) * layout.head_dim;
    const float inverse = 1.0f / state.sums[i];
    for (int32_t e = 0; e < layout.head_dim; ++e) {
      out[e] = state.out[int64_t{i} * layout.head_dim + e] * inverse;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace neuros::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // NEUROS_KERNELS_CPU_ATTENTION_INL_H_
