// What happens to rows of activations and outputs around the products, for every instruction set:
// quantising, normalising, finishing. Included like linear_tiles-inl.h. No include guard.

/// round(x * inverse) of `count` values as int8; returns their sum.
NEUROS_INLINE int32_t quantise_codes(const float* x, float inverse, int count, int8_t* codes) {
  I sum = i_zero();
  const F factor = f_set(inverse);
  for (int i = 0; i < count; i += kLanes) {
    const I code = i_round(f_mul(f_load(x + i), factor));
    sum = i_add(sum, code);
    i_store_s8(codes + i, code);
  }
  return i_reduce_add(sum);
}

NEUROS_INLINE float largest_magnitude(const float* x, int count) {
  F largest = f_zero();
  for (int i = 0; i < count; i += kLanes) largest = f_max(largest, f_abs(f_load(x + i)));
  return f_reduce_max(largest);
}

/// PrepareFn of ActivationKind::kBlock32.
inline void prepare_block32(const PrepareArgs& args) {
  const int64_t chunks = args.cols / 32;
  auto* codes = reinterpret_cast<int8_t*>(args.group);
  auto* scales = reinterpret_cast<float*>(args.group + args.cols * args.tokens);
  auto* negated_sums = reinterpret_cast<int32_t*>(scales + chunks * args.tokens);
  auto* scaled_sums = reinterpret_cast<float*>(negated_sums + chunks * args.tokens);
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t at = c * args.tokens + args.slot;
    const float largest = largest_magnitude(args.row + 32 * c, 32);
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    const int32_t sum = quantise_codes(args.row + 32 * c, inverse, 32, codes + 32 * at);
    scales[at] = largest / 127.0f;
    negated_sums[at] = -sum;
    scaled_sums[at] = largest / 127.0f * static_cast<float>(sum);
  }
}

/// PrepareFn of ActivationKind::kBlock256.
inline void prepare_block256(const PrepareArgs& args) {
  const int64_t blocks = args.cols / 256;
  auto* codes = reinterpret_cast<int8_t*>(args.group);
  auto* scales = reinterpret_cast<float*>(args.group + args.cols * args.tokens);
  auto* negated_sums = reinterpret_cast<int32_t*>(scales + blocks * args.tokens);
  auto* sums = reinterpret_cast<int16_t*>(negated_sums + blocks * args.tokens);
  int16_t* sums32 = sums + 16 * blocks * args.tokens;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = b * args.tokens + args.slot;
    const float* x = args.row + 256 * b;
    const float largest = largest_magnitude(x, 256);
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    int32_t total = 0;
    for (int64_t c = 0; c < 8; ++c) {
      int8_t* chunk = codes + 32 * ((8 * b + c) * args.tokens + args.slot);
      const int32_t low = quantise_codes(x + 32 * c, inverse, 16, chunk);
      const int32_t high = quantise_codes(x + 32 * c + 16, inverse, 16, chunk + 16);
      sums[16 * at + 2 * c] = static_cast<int16_t>(low);
      sums[16 * at + 2 * c + 1] = static_cast<int16_t>(high);
      sums32[8 * at + c] = static_cast<int16_t>(low + high);
      total += low + high;
    }
    scales[at] = largest / 127.0f;
    negated_sums[at] = -total;
  }
}

/// One chunk of a row, the part beyond the last column filled with zeros.
NEUROS_INLINE const float* whole_chunk(const float* row, int64_t cols, int64_t chunk,
                                       float (&padded)[32]) {
  if (32 * chunk + 32 <= cols) return row + 32 * chunk;
  for (int64_t i = 0; i < 32; ++i) padded[i] = 32 * chunk + i < cols ? row[32 * chunk + i] : 0.0f;
  return padded;
}

/// PrepareFn of ActivationKind::kF32.
inline void prepare_f32(const PrepareArgs& args) {
  auto* out = reinterpret_cast<float*>(args.group);
  float padded[32];
  for (int64_t c = 0; c < chunk_count(args.cols); ++c) {
    const float* x = whole_chunk(args.row, args.cols, c, padded);
    float* to = out + 32 * (c * args.tokens + args.slot);
    for (int i = 0; i < 32; i += kLanes) f_store(to + i, f_load(x + i));
  }
}

/// PrepareFn of ActivationKind::kBF16: rounded to nearest even.
inline void prepare_bf16(const PrepareArgs& args) {
  auto* out = reinterpret_cast<uint16_t*>(args.group);
  float padded[32];
  for (int64_t c = 0; c < chunk_count(args.cols); ++c) {
    const float* x = whole_chunk(args.row, args.cols, c, padded);
    uint16_t* to = out + 32 * (c * args.tokens + args.slot);
    for (int i = 0; i < 32; ++i) to[i] = base::float_to_bf16(x[i]);
  }
}

/// 16 rows of y for one token.
NEUROS_INLINE void finish_whole(const float* sums, const float* bias, const float* residual,
                                float* y) {
  for (int i = 0; i < 16; i += kLanes) {
    F value = f_load(sums + i);
    if (bias != nullptr) value = f_add(value, f_load(bias + i));
    if (residual != nullptr) value = f_add(value, f_load(residual + i));
    f_store(y + i, value);
  }
}

/// The same for the rows that a matrix's last panel has.
NEUROS_INLINE void finish_part(const float* sums, const float* bias, const float* residual,
                               float* y, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    float value = sums[i];
    if (bias != nullptr) value += bias[i];
    if (residual != nullptr) value += residual[i];
    y[i] = value;
  }
}

/// FinishFn.
inline void finish(const FinishArgs& args) {
  for (int t = 0; t < args.tokens; ++t) {
    const int64_t at = t * args.y_stride;
    const float* residual = args.residual == nullptr ? nullptr : args.residual + at;
    for (int64_t row = 0; row < args.rows; row += kPanelRows) {
      const int64_t p = row / kPanelRows;
      const float* sums =
          args.sums + p / 2 * args.pair_stride + p % 2 * args.panel_stride + t * args.token_stride;
      const float* bias = args.bias == nullptr ? nullptr : args.bias + row;
      const float* before = residual == nullptr ? nullptr : residual + row;
      float* y = args.y + at + row;
      if (args.rows - row >= kPanelRows) {
        finish_whole(sums, bias, before, y);
      } else {
        finish_part(sums, bias, before, y, args.rows - row);
      }
    }
  }
}

inline void normalise(const float* x, const float* weight, float epsilon, int64_t cols,
                      float* out) {
  F squares = f_zero();
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) squares = f_fma(f_load(x + i), f_load(x + i), squares);
  float sum = f_reduce_add(squares);
  for (; i < cols; ++i) sum += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(cols) + epsilon);
  const F factor = f_set(scale);
  for (i = 0; i + kLanes <= cols; i += kLanes) {
    f_store(out + i, f_mul(f_mul(f_load(x + i), factor), f_load(weight + i)));
  }
  for (; i < cols; ++i) out[i] = x[i] * scale * weight[i];
}

/// e^x with a relative error below 2e-7: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
NEUROS_INLINE F f_exp(F x) {
  x = f_min(f_max(x, f_set(-87.0f)), f_set(88.0f));
  const I n = i_round(f_mul(x, f_set(1.44269504088896341f)));
  const F whole = f_from_i(n);
  F r = f_fnma(whole, f_set(0.693359375f), x);
  r = f_fnma(whole, f_set(-2.12194440e-4f), r);
  F p = f_set(1.9875691500e-4f);
  p = f_fma(p, r, f_set(1.3981999507e-3f));
  p = f_fma(p, r, f_set(8.3334519073e-3f));
  p = f_fma(p, r, f_set(4.1665795894e-2f));
  p = f_fma(p, r, f_set(1.6666665459e-1f));
  p = f_fma(p, r, f_set(5.0000001201e-1f));
  p = f_fma(p, f_mul(r, r), f_add(r, f_set(1.0f)));
  return f_mul(p, f_cast_i(i_shl<23>(i_add(n, i_set32(127)))));
}

inline void swiglu(float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const F x = f_load(gate + i);
    const F sigmoid_inverse = f_add(f_set(1.0f), f_exp(f_sub(f_zero(), x)));
    f_store(gate + i, f_mul(f_div(x, sigmoid_inverse), f_load(up + i)));
  }
}
