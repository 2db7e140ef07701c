/// Norm, rotation and page writes of single heads, for the current Highway target.
/// HWY_TARGET_TOGGLE: included once per target.

#if defined(NEUROS_KERNELS_CPU_HEADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NEUROS_KERNELS_CPU_HEADS_INL_H_
#undef NEUROS_KERNELS_CPU_HEADS_INL_H_
#else
#define NEUROS_KERNELS_CPU_HEADS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace neuros::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Sum of squares in vector lanes, then the tail, one order for every caller.
HWY_INLINE float sum_of_squares(const float* x, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    sum = hn::MulAdd(v, v, sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < count; ++i) total += x[i] * x[i];
  return total;
}

inline void normalise(const float* x, const float* weight, float epsilon, int64_t cols,
                      float* out) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float mean = sum_of_squares(x, cols) / static_cast<float>(cols);
  const float factor = 1.0f / std::sqrt(mean + epsilon);
  int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor));
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, weight + i)), d, out + i);
  }
  for (; i < cols; ++i) out[i] = x[i] * factor * weight[i];
}

/// (a, b) -> (a cos - b sin, b cos + a sin) for pairs [first, pairs) one by one.
HWY_INLINE void rotate_tail(const HeadArgs& args, int32_t first) {
  const int32_t pairs = args.rope_dims / 2;
  const bool halves = args.style == RopeStyle::kHalves;
  for (int32_t i = first; i < pairs; ++i) {
    float& a = args.head[halves ? i : 2 * i];
    float& b = args.head[halves ? i + pairs : 2 * i + 1];
    const float cosine = args.rope[2 * i], sine = args.rope[2 * i + 1];
    const float old_a = a;
    a = a * cosine - b * sine;
    b = b * cosine + old_a * sine;
  }
}

HWY_INLINE void rotate(const HeadArgs& args) {
  const hn::ScalableTag<float> d;
  const int32_t lanes = static_cast<int32_t>(hn::Lanes(d));
  const int32_t pairs = args.rope_dims / 2;
  int32_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    auto cosine = hn::Zero(d), sine = hn::Zero(d);
    auto a = hn::Zero(d), b = hn::Zero(d);
    hn::LoadInterleaved2(d, args.rope + 2 * i, cosine, sine);
    if (args.style == RopeStyle::kHalves) {
      a = hn::LoadU(d, args.head + i);
      b = hn::LoadU(d, args.head + pairs + i);
    } else {
      hn::LoadInterleaved2(d, args.head + 2 * i, a, b);
    }
    const auto turned_a = hn::Sub(hn::Mul(a, cosine), hn::Mul(b, sine));
    const auto turned_b = hn::Add(hn::Mul(b, cosine), hn::Mul(a, sine));
    if (args.style == RopeStyle::kHalves) {
      hn::StoreU(turned_a, d, args.head + i);
      hn::StoreU(turned_b, d, args.head + pairs + i);
    } else {
      hn::StoreInterleaved2(turned_a, turned_b, d, args.head + 2 * i);
    }
  }
  rotate_tail(args, i);
}

inline void finish_head(const HeadArgs& args) {
  if (args.norm != nullptr) {
    normalise(args.head, args.norm, args.epsilon, args.head_dim, args.head);
  }
  if (args.rope != nullptr) rotate(args);
}

inline void store(const StoreArgs& args) {
  const KvLayout& layout = *args.layout;
  const int64_t key_step = layout.page_tokens;
  const int64_t value_at = layout.value_index(args.place, 0);
  if (layout.dtype == base::DType::kF32) {
    float* keys = reinterpret_cast<float*>(args.keys) + args.place;
    float* values = reinterpret_cast<float*>(args.values) + value_at;
    for (int32_t i = 0; i < layout.head_dim; ++i) keys[i * key_step] = args.key[i];
    std::memcpy(values, args.value, sizeof(float) * static_cast<size_t>(layout.head_dim));
    return;
  }
  uint16_t* keys = reinterpret_cast<uint16_t*>(args.keys) + args.place;
  uint16_t* values = reinterpret_cast<uint16_t*>(args.values) + value_at;
  const bool half = layout.dtype == base::DType::kF16;
  for (int32_t i = 0; i < layout.head_dim; ++i) {
    keys[i * key_step] = half ? base::float_to_f16(args.key[i]) : base::float_to_bf16(args.key[i]);
    values[i] = half ? base::float_to_f16(args.value[i]) : base::float_to_bf16(args.value[i]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace neuros::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // NEUROS_KERNELS_CPU_HEADS_INL_H_
