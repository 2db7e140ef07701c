/// Attention without a mask over the rows of an item, for the current Highway target: the steps of
/// attention-inl.h over tiles of 64 keys, which are widened to floats, the keys transposed, once
/// for all queries of a unit. HWY_TARGET_TOGGLE: included once per target.

#if defined(NEUROS_KERNELS_CPU_ENCODER_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NEUROS_KERNELS_CPU_ENCODER_ATTENTION_INL_H_
#undef NEUROS_KERNELS_CPU_ENCODER_ATTENTION_INL_H_
#else
#define NEUROS_KERNELS_CPU_ENCODER_ATTENTION_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace neuros::kernels::cpu {
namespace HWY_NAMESPACE {

/// Working memory of a unit, carved from its scratch.
struct EncoderState {
  float* queries;  ///< [kEncoderRows, head_dim]
  float* out;      ///< [kEncoderRows, head_dim] sums so far
  float* scores;   ///< [kEncoderRows, kEncoderKeys]
  float* maxima;   ///< [kEncoderRows]
  float* sums;     ///< [kEncoderRows]
  float* keys;     ///< [head_dim, kEncoderKeys]
  float* values;   ///< [kEncoderKeys, head_dim]

  EncoderState(float* scratch, int32_t head_dim)
      : queries(scratch),
        out(queries + int64_t{kEncoderRows} * head_dim),
        scores(out + int64_t{kEncoderRows} * head_dim),
        maxima(scores + kEncoderRows * kEncoderKeys),
        sums(maxima + kEncoderRows),
        keys(sums + kEncoderRows),
        values(keys + int64_t{kEncoderKeys} * head_dim) {}
};

/// Rows of one head of a matrix of f16, as floats one after another.
HWY_INLINE void widen_rows(const uint16_t* from, int64_t stride, int32_t rows, int32_t head_dim,
                           float* to) {
  for (int32_t row = 0; row < rows; ++row) {
    widen(reinterpret_cast<const std::byte*>(from + row * stride), head_dim, base::DType::kF16,
          to + int64_t{row} * head_dim);
  }
}

/// The first `count` keys from row `row` on, with their values.
HWY_INLINE void load_tile(const EncoderAttentionArgs& args, int64_t column, int32_t row,
                          int32_t count, const EncoderState& state) {
  widen_rows(args.k + row * args.k_stride + column, args.k_stride, count, args.head_dim,
             state.values);
  for (int32_t i = 0; i < args.head_dim; ++i) {
    float* key = state.keys + int64_t{i} * kEncoderKeys;
    for (int32_t t = 0; t < count; ++t) key[t] = state.values[int64_t{t} * args.head_dim + i];
    std::fill(key + count, key + kEncoderKeys, 0.0f);
  }
  widen_rows(args.v + row * args.v_stride + column, args.v_stride, count, args.head_dim,
             state.values);
}

/// score_page() over a tile, summed eight dimensions at a time: scores of large queries are sums of
/// thousands, and what each addition rounds away moves the weights of keys that are nearly alike.
template <int N>
HWY_INLINE void score_encoder_tile(const float* const* queries, const PageTile& tile,
                                   int32_t head_dim, float* const* scores) {
  constexpr int32_t kPart = 8;
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  HWY_ALIGN float sums[N][kEncoderKeys];
  const float* part_queries[N];
  float* part_scores[N];
  NEUROS_UNROLL for (int n = 0; n < N; ++n) part_scores[n] = sums[n];
  for (int32_t from = 0; from < head_dim; from += kPart) {
    NEUROS_UNROLL for (int n = 0; n < N; ++n) part_queries[n] = queries[n] + from;
    const PageTile part{tile.keys + int64_t{from} * kEncoderKeys, tile.values};
    const int32_t dims = head_dim - from < kPart ? head_dim - from : kPart;
    score_page<N>(part_queries, part, dims, kEncoderKeys, from == 0 ? scores : part_scores);
    if (from == 0) continue;
    NEUROS_UNROLL for (int n = 0; n < N; ++n) {
      for (int32_t t = 0; t < kEncoderKeys; t += lanes) {
        const auto sum = hn::Add(hn::LoadU(d, scores[n] + t), hn::Load(d, sums[n] + t));
        hn::StoreU(sum, d, scores[n] + t);
      }
    }
  }
}

/// N queries from `first` on, over a tile of `count` keys.
template <int N>
HWY_INLINE void encoder_step(const AttentionArgs& args, const EncoderState& state, int32_t first,
                             int32_t count) {
  const int32_t head_dim = args.kv.layout.head_dim;
  const PageTile tile{state.keys, state.values};
  const float* queries[N];
  float* scores[N];
  float* outs[N];
  float factors[N];
  NEUROS_UNROLL for (int n = 0; n < N; ++n) {
    queries[n] = state.queries + int64_t{first + n} * head_dim;
    scores[n] = state.scores + (first + n) * kEncoderKeys;
    outs[n] = state.out + int64_t{first + n} * head_dim;
  }
  score_encoder_tile<N>(queries, tile, head_dim, scores);
  NEUROS_UNROLL for (int n = 0; n < N; ++n) {
    factors[n] = weigh(args, 0, count, scores[n], state.maxima[first + n], state.sums[first + n]);
  }
  gather_values<N>(tile, head_dim, 0, count, scores, factors, outs);
}

inline void attend_encoder(const EncoderUnit& unit) {
  const EncoderAttentionArgs& args = *unit.args;
  const int64_t column = int64_t{unit.head} * args.head_dim;
  const EncoderState state(unit.scratch, args.head_dim);
  AttentionArgs steps;
  steps.kv.layout.page_tokens = kEncoderKeys;
  steps.kv.layout.head_dim = args.head_dim;
  steps.scale = args.scale;
  widen_rows(args.q + unit.row * args.q_stride + column, args.q_stride, unit.rows, args.head_dim,
             state.queries);
  std::fill(state.maxima, state.maxima + unit.rows, -3.0e38f);
  std::fill(state.sums, state.sums + unit.rows, 0.0f);
  std::fill(state.out, state.out + int64_t{unit.rows} * args.head_dim, 0.0f);
  for (int32_t row = unit.item_first; row < unit.item_end; row += kEncoderKeys) {
    const int32_t left = unit.item_end - row;
    const int32_t count = left < kEncoderKeys ? left : kEncoderKeys;
    load_tile(args, column, row, count, state);
    int32_t query = 0;
    for (; query + kQueryTile <= unit.rows; query += kQueryTile) {
      encoder_step<kQueryTile>(steps, state, query, count);
    }
    for (; query < unit.rows; ++query) encoder_step<1>(steps, state, query, count);
  }
  for (int32_t i = 0; i < unit.rows; ++i) {
    uint16_t* out = args.out + (unit.row + i) * args.out_stride + column;
    const float inverse = 1.0f / state.sums[i];
    const float* sums = state.out + int64_t{i} * args.head_dim;
    for (int32_t e = 0; e < args.head_dim; ++e) out[e] = base::float_to_f16(sums[e] * inverse);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace neuros::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // NEUROS_KERNELS_CPU_ENCODER_ATTENTION_INL_H_
