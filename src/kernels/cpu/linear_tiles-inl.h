// The inner loops of the matrix product, once for every instruction set. A level includes this
// file inside its target region and namespace, after the words it is written in: F, I, kLanes and
// the f_ and i_ functions of simd_<level>-inl.h, dot4(), dot2(). No include guard, on purpose.
//
// A tile is one panel times one group of tokens over all columns. The codes of 32 columns (eight
// vectors) are decoded into registers once and used for every token of the group; each dot4() takes
// four activations broadcast from memory. Vectors narrower than 16 lanes take a panel in slices.
//
// For one token the arithmetic is the same sequence whatever the group: the integer sums are exact,
// and the float operations of a token are its own, in the order of the columns.

inline constexpr int kSlices = 16 / kLanes;

/// bits << n, to the right if n is negative.
template <int n>
NEUROS_INLINE I shifted(I bits) {
  if constexpr (n > 0) return i_shl<n>(bits);
  if constexpr (n < 0) return i_shr<-n>(bits);
  return bits;
}

/// Adds `width` bits of `plane`, from bit `from` of each byte, to a code of `low` bits.
template <int low, int width, int from>
NEUROS_INLINE void add_high_bits(I plane, I& code) {
  const I mask = i_set8(((1 << width) - 1) << low);
  code = i_or(code, i_and(shifted<low - from>(plane), mask));
}

template <int low, int width>
NEUROS_INLINE void load_high_plane(const std::byte* plane, I (&codes)[8]) {
  constexpr int parts = 8 / width;
  NEUROS_UNROLL for (int n = 0; n < width; ++n) {
    const I bits = i_load(plane + 64 * n);
    I* part = codes + parts * n;
    add_high_bits<low, width, 0>(bits, part[0]);
    add_high_bits<low, width, width>(bits, part[1]);
    add_high_bits<low, width, 2 * width>(bits, part[2]);
    add_high_bits<low, width, 3 * width>(bits, part[3]);
    if constexpr (width == 1) {
      add_high_bits<low, width, 4>(bits, part[4]);
      add_high_bits<low, width, 5>(bits, part[5]);
      add_high_bits<low, width, 6>(bits, part[6]);
      add_high_bits<low, width, 7>(bits, part[7]);
    }
  }
}

/// The eight code vectors of a chunk, ready for dot4().
template <PanelFormat format>
NEUROS_INLINE void load_codes(const std::byte* chunk, I (&codes)[8]) {
  constexpr int low = format.low_bits;
  const I mask = i_set8((1 << low) - 1);
  NEUROS_UNROLL for (int n = 0; n < low; ++n) {
    const I packed = i_load(chunk + 64 * n);
    if constexpr (low == 8) {
      codes[n] = packed;
    } else if constexpr (low == 4) {
      codes[n] = i_and(packed, mask);
      codes[n + 4] = i_and(i_shr<4>(packed), mask);
    } else {
      codes[4 * n] = i_and(packed, mask);
      codes[4 * n + 1] = i_and(i_shr<2>(packed), mask);
      codes[4 * n + 2] = i_and(i_shr<4>(packed), mask);
      codes[4 * n + 3] = i_and(i_shr<6>(packed), mask);
    }
  }
  if constexpr (format.high_bits != 0) {
    load_high_plane<low, format.high_bits>(chunk + format.low_bytes(), codes);
  }
  if constexpr (format.lookup) {
    NEUROS_UNROLL for (int v = 0; v < 8; ++v) codes[v] = i_lookup(kIq4Codes.data(), codes[v]);
  }
}

/// sum + codes[first .. first + count) times the activations of a token's chunk.
template <PanelFormat format, int first, int count>
NEUROS_INLINE I dot_chunk(I sum, const I (&codes)[8], const int8_t* activations) {
  NEUROS_UNROLL for (int v = first; v < first + count; ++v) {
    sum = dot4<format.offset == 128>(sum, codes[v], activations + 4 * v);
  }
  return sum;
}

/// What is left of the offset for the sums to make good: dot4() of a level may take codes with
/// offset 128 as signed.
template <PanelFormat format>
inline constexpr int kOffset = format.offset == 128 && kWideCodesAreSigned ? 0 : format.offset;

/// Where a sum of code * activation starts so that it ends as (code - offset) * activation.
template <PanelFormat format>
NEUROS_INLINE I start_sum(const int32_t* negated_sum) {
  constexpr int offset = kOffset<format>;
  if constexpr (offset == 0) {
    return i_zero();
  } else {
    return shifted<std::countr_zero(static_cast<unsigned>(offset))>(i_broadcast32(negated_sum));
  }
}

/// The same from a pair of sums of 16 columns: both, or only one of them (use = 1 or 2).
template <PanelFormat format>
NEUROS_INLINE I start_sum_pair(const int16_t* sums, int use) {
  constexpr int offset = kOffset<format>;
  if constexpr (offset == 0) return i_zero();
  const int low = (use & 1) != 0 ? -offset & 0xffff : 0;
  const int high = (use & 2) != 0 ? -offset & 0xffff : 0;
  const auto pair = static_cast<int32_t>(static_cast<uint32_t>(low | (high << 16)));
  return dot2(i_zero(), i_set32(pair), sums);
}

/// Asks for weights some way ahead of the chunk at hand, when they are read for a few tokens only.
template <int kTokens, int bytes>
NEUROS_INLINE void prefetch_ahead(const std::byte* chunk) {
  if constexpr (kTokens <= 4 && kPrefetchBytes != 0) {
    NEUROS_UNROLL for (int i = 0; i < bytes; i += 64) prefetch(chunk + kPrefetchBytes + i);
  }
}

/// One slice of a panel of a type with one scale for at least 32 columns; kBlock32 activations.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void block32_slice(const TileArgs& args, const std::byte* panel, int slice,
                                 float* out) {
  const Block32Group<kTokens> group(args.group, args.cols);
  const std::byte* header = panel + slice * kLanes * 2;
  const std::byte* chunk = panel + panel_header_bytes(format, args.cols) + slice * kLanes * 4;
  F sums[kTokens];
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) sums[t] = f_zero();
  int64_t at = 0;  // chunk * kTokens
  for (int64_t k = 0; k < args.cols; k += format.columns, header += format.header_bytes()) {
    const F scale = f_load_half(header);
    for (int c = 0; c < format.chunks(); ++c, at += kTokens, chunk += format.chunk_bytes()) {
      prefetch_ahead<kTokens, format.chunk_bytes()>(chunk);
      I codes[8];
      load_codes<format>(chunk, codes);
      NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
        I sum = start_sum<format>(group.negated_sums + at + t);
        sum = dot_chunk<format, 0, 8>(sum, codes, group.codes + 32 * (at + t));
        sums[t] = f_fma(f_from_i(sum), f_mul(scale, f_set(group.scales[at + t])), sums[t]);
        if constexpr (format.header_values == 2) {
          const F minimum = f_load_half(header + 2 * kPanelRows);
          sums[t] = f_fma(minimum, f_set(group.scaled_sums[at + t]), sums[t]);
        }
      }
    }
  }
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) f_store(out + 16 * t, sums[t]);
}

/// The sub-scales of one group of columns.
template <PanelFormat format>
NEUROS_INLINE F load_sub_scale(const std::byte* group) {
  if constexpr (format.sub_scales == SubScales::kSigned) return f_from_i(i_load_s8(group));
  const I bytes = i_load_u8(group);
  if constexpr (format.sub_scales == SubScales::kNibbles) {
    return f_from_i(i_and(bytes, i_set32(15)));
  }
  return f_from_i(bytes);
}

/// Minima are multiplied by sums of as many columns as they stand for, in pairs of int16.
template <PanelFormat format>
inline constexpr int kMinimumPairs = format.sub_groups() / 2;

/// Minima of column groups 2 pair and 2 pair + 1 in the halves of each lane.
template <PanelFormat format>
NEUROS_INLINE I load_minimum_pair(const std::byte* sub_scales, int pair) {
  constexpr bool nibbles = format.sub_scales == SubScales::kNibbles;
  const std::byte* minima = sub_scales + 16 * (2 * pair + (nibbles ? 0 : format.sub_groups()));
  I low = i_load_u8(minima), high = i_load_u8(minima + 16);
  if constexpr (nibbles) {
    low = i_shr<4>(low);
    high = i_shr<4>(high);
  }
  return i_or(low, i_shl<16>(high));
}

/// The sums for those pairs, of token 0 in block `at`; and how many there are for each token.
template <PanelFormat format, int kTokens>
NEUROS_INLINE const int16_t* minimum_sums(const Block256Group<kTokens>& group, int64_t at) {
  return format.sub_columns == 32 ? group.sums32 + 8 * at : group.sums + 16 * at;
}

/// What one token adds for one chunk of a 256-column record with sub-scales.
template <PanelFormat format>
NEUROS_INLINE F add_scaled_chunk(F total, const I (&codes)[8], const F (&scales)[2],
                                 const int8_t* activations, const int16_t* sums) {
  if constexpr (format.sub_columns == 32) {
    const I sum = dot_chunk<format, 0, 8>(start_sum_pair<format>(sums, 3), codes, activations);
    return f_fma(f_from_i(sum), scales[0], total);
  } else {
    const I low = dot_chunk<format, 0, 4>(start_sum_pair<format>(sums, 1), codes, activations);
    const I high = dot_chunk<format, 4, 4>(start_sum_pair<format>(sums, 2), codes, activations);
    return f_fma(f_from_i(high), scales[1], f_fma(f_from_i(low), scales[0], total));
  }
}

/// One record of 256 columns with sub-scales for all tokens of the group: totals[t] without d.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void scaled_record(const std::byte* chunk, const std::byte* sub_scales,
                                 const int8_t* activations, const int16_t* sums,
                                 F (&totals)[kTokens]) {
  constexpr int groups = 32 / format.sub_columns;  // of a chunk
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) totals[t] = f_zero();
  for (int c = 0; c < 8; ++c, chunk += format.chunk_bytes(), activations += 32 * kTokens) {
    prefetch_ahead<kTokens, format.chunk_bytes()>(chunk);
    I codes[8];
    load_codes<format>(chunk, codes);
    F scales[2];
    scales[0] = load_sub_scale<format>(sub_scales + 16 * groups * c);
    scales[1] = load_sub_scale<format>(sub_scales + 16 * (groups * c + groups - 1));
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      totals[t] = add_scaled_chunk<format>(totals[t], codes, scales, activations + 32 * t,
                                           sums + 16 * t + 2 * c);
    }
  }
}

/// The same for a record without sub-scales: exact sums of (code - offset) * activation.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void plain_record(const std::byte* chunk, const int8_t* activations,
                                const int32_t* negated_sums, F (&totals)[kTokens]) {
  I sums[kTokens];
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) sums[t] = start_sum<format>(negated_sums + t);
  for (int c = 0; c < 8; ++c, chunk += format.chunk_bytes(), activations += 32 * kTokens) {
    prefetch_ahead<kTokens, format.chunk_bytes()>(chunk);
    I codes[8];
    load_codes<format>(chunk, codes);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      sums[t] = dot_chunk<format, 0, 8>(sums[t], codes, activations + 32 * t);
    }
  }
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) totals[t] = f_from_i(sums[t]);
}

/// sum of minimum * (sum of activations) over a record, for one token.
template <int kPairs>
NEUROS_INLINE F minimum_sum(const I (&minima)[kPairs], const int16_t* sums) {
  I total = i_zero();
  NEUROS_UNROLL for (int pair = 0; pair < kPairs; ++pair) {
    total = dot2(total, minima[pair], sums + 2 * pair);
  }
  return f_from_i(total);
}

/// out -= minimum part of a record, for all tokens.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void subtract_minima(const std::byte* header, const std::byte* sub_scales,
                                   const float* scales, const int16_t* sums, float* out) {
  constexpr int pairs = kMinimumPairs<format>;
  const F minimum = f_load_half(header + 2 * kPanelRows);
  I minima[pairs];
  NEUROS_UNROLL for (int pair = 0; pair < pairs; ++pair) {
    minima[pair] = load_minimum_pair<format>(sub_scales, pair);
  }
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    const F scale = f_mul(minimum, f_set(scales[t]));
    const F total = minimum_sum(minima, sums + 2 * pairs * t);
    f_store(out + 16 * t, f_fnma(total, scale, f_load(out + 16 * t)));
  }
}

/// One slice of a panel of a type with records of 256 columns; kBlock256 activations.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void block256_slice(const TileArgs& args, const std::byte* panel, int slice,
                                  float* out) {
  const Block256Group<kTokens> group(args.group, args.cols);
  const std::byte* header = panel + slice * kLanes * 2;
  const std::byte* record = panel + panel_header_bytes(format, args.cols);
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) f_store(out + 16 * t, f_zero());
  for (int64_t r = 0; r < args.cols / 256; ++r) {
    const std::byte* sub_scales = record + slice * kLanes;
    const std::byte* chunk = record + kPanelRows * format.sub_bytes() + slice * kLanes * 4;
    const int8_t* activations = group.codes + 256 * kTokens * r;
    const float* scales = group.scales + kTokens * r;
    const int16_t* sums = group.sums + 16 * kTokens * r;
    F totals[kTokens];
    if constexpr (format.sub_scales == SubScales::kNone) {
      plain_record<format>(chunk, activations, group.negated_sums + kTokens * r, totals);
    } else {
      scaled_record<format>(chunk, sub_scales, activations, sums, totals);
    }
    const F scale = f_load_half(header);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      const F both = f_mul(scale, f_set(scales[t]));
      f_store(out + 16 * t, f_fma(totals[t], both, f_load(out + 16 * t)));
    }
    if constexpr (format.header_values == 2) {
      const int16_t* wide = minimum_sums<format>(group, kTokens * r);
      subtract_minima<format, kTokens>(header, sub_scales, scales, wide, out);
    }
    header += format.header_bytes();
    record += format.record_bytes();
  }
}

/// TileFn of a quantised type.
template <base::DType kType, int kTokens>
void quantised_tile(const TileArgs& args) {
  constexpr PanelFormat format = kPanelFormat<kType>;
  for (int p = 0; p < args.panels; ++p) {
    const std::byte* panel = args.panel + p * args.panel_bytes;
    float* out = args.out + p * kTokens * kPanelRows;
    for (int slice = 0; slice < kSlices; ++slice) {
      if constexpr (format.columns == 256) {
        block256_slice<format, kTokens>(args, panel, slice, out + slice * kLanes);
      } else {
        block32_slice<format, kTokens>(args, panel, slice, out + slice * kLanes);
      }
    }
  }
}

// Plain types: a step is the columns of one weight vector, one for f32 and f16, two for bf16.

struct F32Step {
  using Activation = float;
  static constexpr int kColumns = 1;
  static constexpr int kBytes = 64;  // of the panel
  static NEUROS_INLINE F load(const std::byte* at) { return f_load(at); }
  static NEUROS_INLINE F add(F sum, F weights, const float* x) {
    return f_fma(weights, f_set(*x), sum);
  }
  static NEUROS_INLINE F spread(const float* x) { return f_set(*x); }
  static NEUROS_INLINE F add_spread(F sum, F weights, F x) { return f_fma(weights, x, sum); }
};

struct F16Step {
  using Activation = float;
  static constexpr int kColumns = 1;
  static constexpr int kBytes = 32;
  static NEUROS_INLINE F load(const std::byte* at) { return f_load_half(at); }
  static NEUROS_INLINE F add(F sum, F weights, const float* x) {
    return f_fma(weights, f_set(*x), sum);
  }
};

/// bf16 weights with float activations: exact products, for processors without a bf16 dot product.
struct Bf16AsF32Step {
  using Activation = float;
  static constexpr int kColumns = 2;
  static constexpr int kBytes = 64;
  static NEUROS_INLINE I load(const std::byte* at) { return i_load(at); }
  static NEUROS_INLINE F add(F sum, I pairs, const float* x) {
    sum = f_fma(f_cast_i(i_shl<16>(pairs)), f_set(x[0]), sum);
    const I high = i_and(pairs, i_set32(static_cast<int32_t>(0xffff0000u)));
    return f_fma(f_cast_i(high), f_set(x[1]), sum);
  }
};

/// `kPanels` panels at once: independent sums hide the latency of the additions.
template <typename Step, int kTokens, int kPanels>
NEUROS_INLINE void plain_slice(const TileArgs& args, int first, int slice) {
  constexpr int kSteps = 32 / Step::kColumns;
  constexpr int kLaneBytes = Step::kBytes / 16;
  const std::byte* panel = args.panel + first * args.panel_bytes + slice * kLanes * kLaneBytes;
  const auto* x = reinterpret_cast<const typename Step::Activation*>(args.group);
  F sums[kPanels][kTokens];
  NEUROS_UNROLL for (int p = 0; p < kPanels; ++p) {
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) sums[p][t] = f_zero();
  }
  const int64_t steps = (args.cols + Step::kColumns - 1) / Step::kColumns;
  for (int64_t step = 0; step < steps; step += kSteps, x += 32 * kTokens) {
    const int count = static_cast<int>(steps - step < kSteps ? steps - step : kSteps);
    for (int s = 0; s < count; ++s, panel += Step::kBytes) {
      NEUROS_UNROLL for (int p = 0; p < kPanels; ++p) {
        const std::byte* at = panel + p * args.panel_bytes;
        if constexpr (kTokens <= 4 && kPrefetchBytes != 0) {
          prefetch(at + kPrefetchBytes / kPanels);
        }
        const auto weights = Step::load(at);
        NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
          sums[p][t] = Step::add(sums[p][t], weights, x + 32 * t + Step::kColumns * s);
        }
      }
    }
  }
  float* out = args.out + first * kTokens * kPanelRows + slice * kLanes;
  NEUROS_UNROLL for (int p = 0; p < kPanels; ++p) {
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      f_store(out + (p * kTokens + t) * kPanelRows, sums[p][t]);
    }
  }
}

/// TileFn of a plain type.
template <typename Step, int kTokens>
void plain_tile(const TileArgs& args) {
  constexpr int kPanels = kTokens <= 2 ? 2 : 1;
  for (int slice = 0; slice < kSlices; ++slice) {
    int p = 0;
    for (; p + kPanels <= args.panels; p += kPanels) {
      plain_slice<Step, kTokens, kPanels>(args, p, slice);
    }
    for (; p < args.panels; ++p) plain_slice<Step, kTokens, 1>(args, p, slice);
  }
}
