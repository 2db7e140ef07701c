// The product for many tokens. Two panels are decoded once, a block of columns at a time, into a
// buffer that stays in the first-level cache; then every group of tokens passes over it with a tile
// of two vectors of rows times the group's tokens in registers. Included after
// linear_tiles-inl.h, with whose arithmetic this one agrees operation by operation: a token has the
// same bits here and there. No include guard, on purpose.

/// Writes the codes of one panel of a pair, and returns where its vectors of a chunk start.
template <PanelFormat format>
NEUROS_INLINE void decode_chunk(const std::byte* chunk, std::byte* out) {
  for (int slice = 0; slice < kSlices; ++slice) {
    I codes[8];
    load_codes<format>(chunk + slice * kLanes * 4, codes);
    NEUROS_UNROLL for (int v = 0; v < 8; ++v) {
      i_store(out + v * kPairRowBytes + slice * kLanes * 4, codes[v]);
    }
  }
}

/// Scales (and minima) of types without sub-scales: one a chunk.
template <PanelFormat format>
NEUROS_INLINE void decode_header(const std::byte* header, int chunk, int lane0, DecodedPair& out) {
  for (int lane = 0; lane < 16; lane += kLanes) {
    const std::byte* scale = header + 2 * lane;
    f_store(out.scales[chunk] + lane0 + lane, f_load_half(scale));
    if constexpr (format.header_values == 2) {
      f_store(out.minimum_values[chunk] + lane0 + lane, f_load_half(scale + 2 * kPanelRows));
    }
  }
}

/// Scales and minima of a record of 256 columns, its d and m included.
template <PanelFormat format>
NEUROS_INLINE void decode_record_scales(const std::byte* header, const std::byte* record, int index,
                                        int lane0, DecodedPair& out) {
  constexpr int groups = format.sub_groups();
  for (int lane = 0; lane < 16; lane += kLanes) {
    const std::byte* sub_scales = record + lane;
    f_store(out.record_scales[index] + lane0 + lane, f_load_half(header + 2 * lane));
    for (int g = 0; g < groups; ++g) {
      f_store(out.scales[groups * index + g] + lane0 + lane,
              load_sub_scale<format>(sub_scales + 16 * g));
    }
    if constexpr (format.header_values == 2) {
      f_store(out.record_minima[index] + lane0 + lane,
              f_load_half(header + 2 * (kPanelRows + lane)));
      for (int pair = 0; pair < kMinimumPairs<format>; ++pair) {
        i_store(out.minimum_pairs[8 * index + pair] + 4 * (lane0 + lane),
                load_minimum_pair<format>(sub_scales, pair));
      }
    }
  }
}

/// One panel of a pair.
template <PanelFormat format>
NEUROS_INLINE void decode_panel(const std::byte* panel, const DecodeArgs& args, int lane0) {
  DecodedPair& out = *args.out;
  const int64_t first = args.column / format.columns;
  const std::byte* header = panel + first * format.header_bytes();
  const std::byte* record =
      panel + panel_header_bytes(format, args.cols) + first * format.record_bytes();
  for (int r = 0; r < args.columns / format.columns; ++r) {
    const std::byte* chunk = record + kPanelRows * format.sub_bytes();
    for (int c = 0; c < format.chunks(); ++c, chunk += format.chunk_bytes()) {
      const int at = r * format.chunks() + c;
      decode_chunk<format>(chunk, out.codes + (8 * at) * kPairRowBytes + 4 * lane0);
      if constexpr (format.columns != 256) decode_header<format>(header, at, lane0, out);
    }
    if constexpr (format.columns == 256) {
      decode_record_scales<format>(header, record, r, lane0, out);
    }
    header += format.header_bytes();
    record += format.record_bytes();
  }
}

/// DecodeFn of a quantised type.
template <base::DType kType>
void decode_quantised(const DecodeArgs& args) {
  decode_panel<kPanelFormat<kType>>(args.panels[0], args, 0);
  decode_panel<kPanelFormat<kType>>(args.panels[1], args, kPanelRows);
}

/// DecodeFn of plain types: as the level's block kernel wants them, f32 or pairs of bf16.
template <base::DType kType, bool kPairs>
void decode_plain(const DecodeArgs& args) {
  constexpr int step_columns = kType == base::DType::kBF16 ? 2 : 1;
  constexpr int step_bytes = kType == base::DType::kF16 ? 32 : 64;
  const int steps = (args.columns + step_columns - 1) / step_columns;
  for (int p = 0; p < 2; ++p) {
    const std::byte* from = args.panels[p] + args.column / step_columns * step_bytes;
    std::byte* to = args.out->codes + p * 64;
    for (int s = 0; s < steps; ++s, from += step_bytes) {
      for (int lane = 0; lane < 16; lane += kLanes, to += 4 * kLanes) {
        if constexpr (kType == base::DType::kF16) {
          i_store(to, i_cast_f(f_load_half(from + 2 * lane)));
        } else if constexpr (kType == base::DType::kF32 || kPairs) {
          i_store(to, i_load(from + 4 * lane));
        } else {
          const I pairs = i_load(from + 4 * lane);
          i_store(to, i_shl<16>(pairs));
          i_store(to + kPairRowBytes, i_and(pairs, i_set32(static_cast<int32_t>(0xffff0000u))));
        }
      }
      to += (kType == base::DType::kBF16 && !kPairs ? 2 : 1) * kPairRowBytes - 64;
    }
  }
}

/// Code vectors [first, first + count) of a chunk times the group's activations.
template <PanelFormat format, int kTokens, int first, int count>
NEUROS_INLINE void add_dots(const std::byte* codes, const int8_t* activations,
                            I (&dots)[2][kTokens]) {
  NEUROS_UNROLL for (int v = first; v < first + count; ++v) {
    const I codes0 = i_load(codes + v * kPairRowBytes);
    const I codes1 = i_load(codes + v * kPairRowBytes + 4 * kLanes);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      const I x = i_broadcast32(activations + 32 * t + 4 * v);
      dots[0][t] = dot4_vector<format.offset == 128>(dots[0][t], codes0, x);
      dots[1][t] = dot4_vector<format.offset == 128>(dots[1][t], codes1, x);
    }
  }
}

template <int kTokens>
NEUROS_INLINE void load_sums(const BlockArgs& args, int lane, F (&sums)[2][kTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    const float* at = args.sums + 2 * kPanelRows * t + lane;
    sums[0][t] = args.column == 0 ? f_zero() : f_load(at);
    sums[1][t] = args.column == 0 ? f_zero() : f_load(at + kLanes);
  }
}

template <int kTokens>
NEUROS_INLINE void store_sums(const BlockArgs& args, int lane, const F (&sums)[2][kTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    float* at = args.sums + 2 * kPanelRows * t + lane;
    f_store(at, sums[0][t]);
    f_store(at + kLanes, sums[1][t]);
  }
}

/// Asks for what the next group will read where this one is reading.
template <int bytes>
NEUROS_INLINE void prefetch_next(const BlockArgs& args, const void* at) {
  const auto* next = static_cast<const std::byte*>(at) + args.group_bytes;
  NEUROS_UNROLL for (int i = 0; i < bytes; i += 64) prefetch(next + i);
}

/// One group of a type with one scale for at least 32 columns; kBlock32 activations.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void block32_group(const BlockArgs& args) {
  const Block32Group<kTokens> group(args.group, args.cols);
  const DecodedPair& pair = *args.pair;
  for (int lane = 0; lane < 2 * kPanelRows; lane += 2 * kLanes) {
    F sums[2][kTokens];
    load_sums(args, lane, sums);
    for (int c = 0; c < args.columns / 32; ++c) {
      const int64_t at = (args.column / 32 + c) * kTokens;
      prefetch_next<32 * kTokens>(args, group.codes + 32 * at);
      I dots[2][kTokens];
      NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
        dots[0][t] = dots[1][t] = start_sum<format>(group.negated_sums + at + t);
      }
      add_dots<format, kTokens, 0, 8>(pair.codes + 8 * c * kPairRowBytes + 4 * lane,
                                      group.codes + 32 * at, dots);
      NEUROS_UNROLL for (int v = 0; v < 2; ++v) {
        const F scale = f_load(pair.scales[c] + lane + v * kLanes);
        NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
          const F both = f_mul(scale, f_set(group.scales[at + t]));
          sums[v][t] = f_fma(f_from_i(dots[v][t]), both, sums[v][t]);
        }
        if constexpr (format.header_values == 2) {
          const F minimum = f_load(pair.minimum_values[c] + lane + v * kLanes);
          NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
            sums[v][t] = f_fma(minimum, f_set(group.scaled_sums[at + t]), sums[v][t]);
          }
        }
      }
    }
    store_sums(args, lane, sums);
  }
}

/// totals += sub-scale * dots, for one group of columns.
template <int kTokens>
NEUROS_INLINE void add_scaled(const float* scales, const I (&dots)[2][kTokens],
                              F (&totals)[2][kTokens]) {
  NEUROS_UNROLL for (int v = 0; v < 2; ++v) {
    const F scale = f_load(scales + v * kLanes);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      totals[v][t] = f_fma(f_from_i(dots[v][t]), scale, totals[v][t]);
    }
  }
}

/// Starts from the offset's share of a pair of sums (start_sum_pair), then the dots of `count` code
/// vectors.
template <PanelFormat format, int kTokens, int first, int count>
NEUROS_INLINE void group_dots(const std::byte* codes, const int8_t* activations,
                              const int16_t* sums, int use, I (&dots)[2][kTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    dots[0][t] = dots[1][t] = start_sum_pair<format>(sums + 16 * t, use);
  }
  add_dots<format, kTokens, first, count>(codes, activations, dots);
}

/// One record of 256 columns with sub-scales: totals without d.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void scaled_record_block(const BlockArgs& args, const std::byte* codes,
                                       const float (*scales)[2 * kPanelRows],
                                       const int8_t* activations, const int16_t* sums, int lane,
                                       F (&totals)[2][kTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) totals[0][t] = totals[1][t] = f_zero();
  for (int c = 0; c < 8; ++c, codes += 8 * kPairRowBytes, activations += 32 * kTokens) {
    prefetch_next<32 * kTokens>(args, activations);
    I dots[2][kTokens];
    if constexpr (format.sub_columns == 32) {
      group_dots<format, kTokens, 0, 8>(codes, activations, sums + 2 * c, 3, dots);
      add_scaled(scales[c] + lane, dots, totals);
    } else {
      group_dots<format, kTokens, 0, 4>(codes, activations, sums + 2 * c, 1, dots);
      add_scaled(scales[2 * c] + lane, dots, totals);
      group_dots<format, kTokens, 4, 4>(codes, activations, sums + 2 * c, 2, dots);
      add_scaled(scales[2 * c + 1] + lane, dots, totals);
    }
  }
}

/// The same without sub-scales.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void plain_record_block(const BlockArgs& args, const std::byte* codes,
                                      const int8_t* activations, const int32_t* negated_sums,
                                      F (&totals)[2][kTokens]) {
  I dots[2][kTokens];
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    dots[0][t] = dots[1][t] = start_sum<format>(negated_sums + t);
  }
  for (int c = 0; c < 8; ++c, codes += 8 * kPairRowBytes, activations += 32 * kTokens) {
    prefetch_next<32 * kTokens>(args, activations);
    add_dots<format, kTokens, 0, 8>(codes, activations, dots);
  }
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    totals[0][t] = f_from_i(dots[0][t]);
    totals[1][t] = f_from_i(dots[1][t]);
  }
}

/// Takes the record's minima off the sums in memory.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void subtract_minima_block(const BlockArgs& args, int record, int lane,
                                         const float* scales, const int16_t* sums) {
  I totals[2][kTokens];
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) totals[0][t] = totals[1][t] = i_zero();
  constexpr int pairs = kMinimumPairs<format>;
  for (int pair = 0; pair < pairs; ++pair) {
    const std::byte* minima = args.pair->minimum_pairs[8 * record + pair] + 4 * lane;
    const I minima0 = i_load(minima), minima1 = i_load(minima + 4 * kLanes);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      totals[0][t] = dot2(totals[0][t], minima0, sums + 2 * pairs * t + 2 * pair);
      totals[1][t] = dot2(totals[1][t], minima1, sums + 2 * pairs * t + 2 * pair);
    }
  }
  NEUROS_UNROLL for (int v = 0; v < 2; ++v) {
    const F minimum = f_load(args.pair->record_minima[record] + lane + v * kLanes);
    NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
      float* at = args.sums + 2 * kPanelRows * t + lane + v * kLanes;
      const F both = f_mul(minimum, f_set(scales[t]));
      f_store(at, f_fnma(f_from_i(totals[v][t]), both, f_load(at)));
    }
  }
}

/// One group of a type with records of 256 columns; kBlock256 activations.
template <PanelFormat format, int kTokens>
NEUROS_INLINE void block256_group(const BlockArgs& args) {
  const Block256Group<kTokens> group(args.group, args.cols);
  const DecodedPair& pair = *args.pair;
  for (int lane = 0; lane < 2 * kPanelRows; lane += 2 * kLanes) {
    for (int r = 0; r < args.columns / 256; ++r) {
      const int64_t at = (args.column / 256 + r) * kTokens;
      const std::byte* codes = pair.codes + 64 * r * kPairRowBytes + 4 * lane;
      const int8_t* activations = group.codes + 256 * at;
      const int16_t* sums = group.sums + 16 * at;
      F totals[2][kTokens];
      if constexpr (format.sub_scales == SubScales::kNone) {
        plain_record_block<format>(args, codes, activations, group.negated_sums + at, totals);
      } else {
        scaled_record_block<format>(args, codes, pair.scales + format.sub_groups() * r, activations,
                                    sums, lane, totals);
      }
      const bool fresh = args.column == 0 && r == 0;
      NEUROS_UNROLL for (int v = 0; v < 2; ++v) {
        const F scale = f_load(pair.record_scales[r] + lane + v * kLanes);
        NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
          float* to = args.sums + 2 * kPanelRows * t + lane + v * kLanes;
          const F before = fresh ? f_zero() : f_load(to);
          f_store(to, f_fma(totals[v][t], f_mul(scale, f_set(group.scales[at + t])), before));
        }
      }
      if constexpr (format.header_values == 2) {
        subtract_minima_block<format, kTokens>(args, r, lane, group.scales + at,
                                               minimum_sums<format>(group, at));
      }
    }
  }
}

/// One group of a plain type; Step says what one vector of the decoded pair is.
template <typename Step, int kTokens>
NEUROS_INLINE void plain_group(const BlockArgs& args) {
  constexpr int kSteps = 32 / Step::kColumns;
  using Activation = typename Step::Activation;
  for (int lane = 0; lane < 2 * kPanelRows; lane += 2 * kLanes) {
    F sums[2][kTokens];
    load_sums(args, lane, sums);
    const auto* x = reinterpret_cast<const Activation*>(args.group) + args.column * kTokens;
    const std::byte* weights = args.pair->codes + 4 * lane;
    for (int left = args.columns; left > 0; left -= 32, x += 32 * kTokens) {
      prefetch_next<32 * kTokens * sizeof(Activation)>(args, x);
      const int steps = left >= 32 ? kSteps : (left + Step::kColumns - 1) / Step::kColumns;
      for (int s = 0; s < steps; ++s, weights += kPairRowBytes) {
        const auto weights0 = Step::load(weights);
        const auto weights1 = Step::load(weights + 4 * kLanes);
        NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
          const auto value = Step::spread(x + 32 * t + Step::kColumns * s);
          sums[0][t] = Step::add_spread(sums[0][t], weights0, value);
          sums[1][t] = Step::add_spread(sums[1][t], weights1, value);
        }
      }
    }
    store_sums(args, lane, sums);
  }
}

/// Asks for this group's part of the next block's weights, into the second-level cache. Without it
/// each block would start by waiting for memory: its weights are a short piece of each panel.
NEUROS_INLINE void prefetch_weights(BlockArgs& args) {
  for (const std::byte*& ahead : args.ahead) {
    for (int64_t i = 0; i < args.ahead_step; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    ahead += args.ahead_step;
  }
}

/// The args of the group after this one.
template <int kTokens>
NEUROS_INLINE BlockArgs next_group(BlockArgs args) {
  prefetch_weights(args);
  args.group += args.group_bytes;
  args.sums += 2 * kPanelRows * kTokens;
  if (--args.groups == 1) args.group_bytes = 0;  // nothing after it to ask for
  return args;
}

/// BlockFn of a quantised type.
template <PanelFormat format, int kTokens>
void quantised_blocks(const BlockArgs& args) {
  for (BlockArgs one = args; one.groups > 0; one = next_group<kTokens>(one)) {
    if constexpr (format.columns == 256) {
      block256_group<format, kTokens>(one);
    } else {
      block32_group<format, kTokens>(one);
    }
  }
}

/// BlockFn of a plain type.
template <typename Step, int kTokens>
void plain_blocks(const BlockArgs& args) {
  for (BlockArgs one = args; one.groups > 0; one = next_group<kTokens>(one)) {
    plain_group<Step, kTokens>(one);
  }
}
