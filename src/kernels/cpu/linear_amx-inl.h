// The products on AMX tiles. Included after linear_blocks-inl.h, in the same region; no include
// guard, on purpose. `Tiles` is HardwareTiles, or a model of them in the tests.
//
// Quantised types: groups of 16 tokens, codes decoded as signed bytes. A tile product gives the
// exact integer sums of 16 tokens times 16 rows for the columns that share their scales; scales are
// applied to it in vectors, with the operations of linear_blocks-inl.h in the same order, so that
// tokens of a group have the bits that the vector kernels give tokens outside of one.
//
// bf16: the tile product rounds in its own way, so it is used for every number of tokens.

inline constexpr int kAmxTokens = 16;
using TileSums = int32_t[kAmxTokens][kPanelRows];

/// DecodeFn of a quantised type, codes as code - offset.
template <base::DType kType>
void decode_signed(const DecodeArgs& args) {
  decode_quantised<kType>(args);
  constexpr int offset = kPanelFormat<kType>.offset;
  if constexpr (offset != 0) {
    const I bias = i_set8(offset);
    for (int64_t at = 0; at < args.columns / 4 * kPairRowBytes; at += 64) {
      std::byte* codes = args.out->codes + at;
      i_store(codes, _mm512_sub_epi8(i_load(codes), bias));
    }
  }
}

/// Tile 0: sums; tile 1: activations of `columns` columns; tile 2: codes of as many.
inline TileShapes int8_shapes(int columns) {
  TileShapes shapes;
  shapes.set(0, kAmxTokens, 64);
  shapes.set(1, kAmxTokens, columns);
  shapes.set(2, columns / 4, 64);
  return shapes;
}

/// sums = activations [16 tokens, 32 apart] times codes of one panel.
template <typename Tiles>
NEUROS_INLINE void tile_product(const int8_t* activations, const std::byte* codes, TileSums& sums) {
  Tiles::template zero<0>();
  Tiles::template load<1>(activations, 32);
  Tiles::template load<2>(codes, kPairRowBytes);
  Tiles::template dot_int8<0, 1, 2>();
  Tiles::template store<0>(sums, 64);
}

NEUROS_INLINE F load_dots(const TileSums& sums, int token) {
  return f_from_i(i_load(reinterpret_cast<const std::byte*>(sums[token])));
}

/// One panel of a pair times one group, for types with one scale for at least 32 columns. The
/// product of the next chunk is under way while this one's is scaled.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_block32(const BlockArgs& args, int lane) {
  const Block32Group<kAmxTokens> group(args.group, args.cols);
  const DecodedPair& pair = *args.pair;
  const int chunks = args.columns / 32;
  const int64_t first = args.column / 32;
  alignas(64) TileSums dots[2];
  const int8_t* activations = group.codes + 32 * kAmxTokens * first;
  const std::byte* codes = pair.codes + 4 * lane;
  F sums[kAmxTokens];
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    sums[t] = args.column == 0 ? f_zero() : f_load(args.sums + 2 * kPanelRows * t + lane);
  }
  tile_product<Tiles>(activations, codes, dots[0]);
  for (int c = 0; c < chunks; ++c) {
    if (c + 1 < chunks) {
      tile_product<Tiles>(activations + 32 * kAmxTokens * (c + 1),
                          codes + 8 * (c + 1) * kPairRowBytes, dots[(c + 1) % 2]);
    }
    const F scale = f_load(pair.scales[c] + lane);
    const float* scales = group.scales + (first + c) * kAmxTokens;
    NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
      sums[t] = f_fma(load_dots(dots[c % 2], t), f_mul(scale, f_set(scales[t])), sums[t]);
    }
    if constexpr (format.header_values == 2) {
      const F minimum = f_load(pair.minimum_values[c] + lane);
      const float* scaled_sums = group.scaled_sums + (first + c) * kAmxTokens;
      NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
        sums[t] = f_fma(minimum, f_set(scaled_sums[t]), sums[t]);
      }
    }
  }
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    f_store(args.sums + 2 * kPanelRows * t + lane, sums[t]);
  }
}

/// Sums of one record without sub-scales: all of its columns in one tile of sums.
template <typename Tiles>
NEUROS_INLINE void amx_plain_record(const std::byte* codes, const int8_t* activations,
                                    F (&totals)[kAmxTokens]) {
  alignas(64) TileSums dots;
  Tiles::template zero<0>();
  for (int c = 0; c < 8; ++c) {
    Tiles::template load<1>(activations + 32 * kAmxTokens * c, 32);
    Tiles::template load<2>(codes + 8 * c * kPairRowBytes, kPairRowBytes);
    Tiles::template dot_int8<0, 1, 2>();
  }
  Tiles::template store<0>(dots, 64);
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    totals[t] = load_dots(dots, t);
  }
}

/// The product of group g of the columns of a record.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void tile_group(const int8_t* activations, const std::byte* codes, int g,
                              TileSums& sums) {
  const int column = g * format.sub_columns;
  tile_product<Tiles>(activations + column / 32 * 32 * kAmxTokens + column % 32,
                      codes + column / 4 * kPairRowBytes, sums);
}

/// Sums of one record, each group of columns times its sub-scale.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_scaled_record(const std::byte* codes, const float (*scales)[2 * kPanelRows],
                                     int lane, const int8_t* activations, F (&totals)[kAmxTokens]) {
  constexpr int groups = format.sub_groups();
  alignas(64) TileSums dots[2];
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) totals[t] = f_zero();
  tile_group<format, Tiles>(activations, codes, 0, dots[0]);
  for (int g = 0; g < groups; ++g) {
    if (g + 1 < groups) {
      tile_group<format, Tiles>(activations, codes, g + 1, dots[(g + 1) % 2]);
    }
    const F scale = f_load(scales[g] + lane);
    NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
      totals[t] = f_fma(load_dots(dots[g % 2], t), scale, totals[t]);
    }
  }
}

/// Takes a record's minima off the sums in memory.
template <PanelFormat format>
NEUROS_INLINE void amx_subtract_minima(const BlockArgs& args, int record, int lane,
                                       const float* scales, const int16_t* sums) {
  constexpr int pairs = kMinimumPairs<format>;
  const F minimum = f_load(args.pair->record_minima[record] + lane);
  I totals[kAmxTokens];
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) totals[t] = i_zero();
  for (int pair = 0; pair < pairs; ++pair) {
    const I minima = i_load(args.pair->minimum_pairs[8 * record + pair] + 4 * lane);
    NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
      totals[t] = dot2(totals[t], minima, sums + 2 * pairs * t + 2 * pair);
    }
  }
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    float* at = args.sums + 2 * kPanelRows * t + lane;
    f_store(at, f_fnma(f_from_i(totals[t]), f_mul(minimum, f_set(scales[t])), f_load(at)));
  }
}

/// One panel of a pair times one group, for types with records of 256 columns.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_block256(const BlockArgs& args, int lane) {
  const Block256Group<kAmxTokens> group(args.group, args.cols);
  const DecodedPair& pair = *args.pair;
  for (int r = 0; r < args.columns / 256; ++r) {
    const int64_t at = (args.column / 256 + r) * kAmxTokens;
    const std::byte* codes = pair.codes + 64 * r * kPairRowBytes + 4 * lane;
    F totals[kAmxTokens];
    if constexpr (format.sub_scales == SubScales::kNone) {
      amx_plain_record<Tiles>(codes, group.codes + 256 * at, totals);
    } else {
      amx_scaled_record<format, Tiles>(codes, pair.scales + format.sub_groups() * r, lane,
                                       group.codes + 256 * at, totals);
    }
    const F scale = f_load(pair.record_scales[r] + lane);
    const bool fresh = args.column == 0 && r == 0;
    NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
      float* to = args.sums + 2 * kPanelRows * t + lane;
      const F before = fresh ? f_zero() : f_load(to);
      f_store(to, f_fma(totals[t], f_mul(scale, f_set(group.scales[at + t])), before));
    }
    if constexpr (format.header_values == 2) {
      amx_subtract_minima<format>(args, r, lane, group.scales + at,
                                  minimum_sums<format>(group, at));
    }
  }
}

/// BlockFn of a quantised type.
template <PanelFormat format, typename Tiles>
void amx_quantised_blocks(const BlockArgs& args) {
  Tiles::configure(int8_shapes(format.sub_columns == 16 ? 16 : 32));
  for (BlockArgs one = args; one.groups > 0; one = next_group<kAmxTokens>(one)) {
    for (int lane = 0; lane < 2 * kPanelRows; lane += kPanelRows) {
      if constexpr (format.columns == 256) {
        amx_block256<format, Tiles>(one, lane);
      } else {
        amx_block32<format, Tiles>(one, lane);
      }
    }
  }
  Tiles::release();
}

// bf16. A chunk of 32 columns of a panel is one whole tile of weights: 16 rows of 64 bytes.

inline constexpr int kBf16TileBytes = 1024;

/// DecodeFn of bf16: the last chunk is filled up with zeros.
inline void decode_bf16_tiles(const DecodeArgs& args) {
  decode_plain<base::DType::kBF16, true>(args);
  const int64_t used = (args.columns + 1) / 2 * kPairRowBytes;
  const int64_t whole = round_up(args.columns, 32) / 2 * kPairRowBytes;
  std::memset(args.out->codes + used, 0, static_cast<size_t>(whole - used));
}

/// Adds one tile product to tiles 0 .. kPanels - 1 of sums: activations in tile 4, each panel's
/// weights through tile 5.
template <typename Tiles, int kPanels>
NEUROS_INLINE void add_bf16_chunk(const std::byte* weights, int64_t panel_bytes) {
  Tiles::template load<5>(weights, 64);
  Tiles::template dot_bf16<0, 4, 5>();
  if constexpr (kPanels == 4) {
    Tiles::template load<5>(weights + panel_bytes, 64);
    Tiles::template dot_bf16<1, 4, 5>();
    Tiles::template load<5>(weights + 2 * panel_bytes, 64);
    Tiles::template dot_bf16<2, 4, 5>();
    Tiles::template load<5>(weights + 3 * panel_bytes, 64);
    Tiles::template dot_bf16<3, 4, 5>();
  }
}

/// The last, incomplete chunk of a panel as a whole tile.
struct alignas(64) LastChunk {
  std::byte weights[kBf16TileBytes];

  LastChunk(const std::byte* from, int64_t columns) {
    const auto used = static_cast<size_t>((columns + 1) / 2 * 64);
    std::memcpy(weights, from, used);
    std::memset(weights + used, 0, sizeof(weights) - used);
  }
};

/// Weights that will be wanted soon, one tile of each panel.
template <int kPanels>
NEUROS_INLINE void prefetch_tiles(const std::byte* weights, int64_t panel_bytes) {
  for (int p = 0; p < kPanels; ++p) {
    for (int line = 0; line < kBf16TileBytes; line += 64) {
      prefetch(weights + p * panel_bytes + kPrefetchBytes / kPanels + line);
    }
  }
}

/// One (or four) panels times one group, tiles configured.
template <typename Tiles, int kTokens, int kPanels>
NEUROS_INLINE void amx_bf16_panels(const TileArgs& args, int first) {
  static_assert(kPanels == 1 || kPanels == 4);
  const std::byte* weights = args.panel + first * args.panel_bytes;
  const std::byte* x = args.group;
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  int64_t left = args.cols;
  for (; left >= 32; left -= 32, weights += kBf16TileBytes, x += 64 * kTokens) {
    prefetch_tiles<kPanels>(weights, args.panel_bytes);
    Tiles::template load<4>(x, 64);
    add_bf16_chunk<Tiles, kPanels>(weights, args.panel_bytes);
  }
  if (left > 0) {
    Tiles::template load<4>(x, 64);
    if constexpr (kPanels == 1) {
      const LastChunk last(weights, left);
      add_bf16_chunk<Tiles, 1>(last.weights, 0);
    } else {
      const LastChunk last[4]{{weights, left},
                              {weights + args.panel_bytes, left},
                              {weights + 2 * args.panel_bytes, left},
                              {weights + 3 * args.panel_bytes, left}};
      add_bf16_chunk<Tiles, 4>(last[0].weights, kBf16TileBytes);
    }
  }
  float* out = args.out + first * kTokens * kPanelRows;
  Tiles::template store<0>(out, 64);
  if constexpr (kPanels == 4) {
    Tiles::template store<1>(out + kTokens * kPanelRows, 64);
    Tiles::template store<2>(out + 2 * kTokens * kPanelRows, 64);
    Tiles::template store<3>(out + 3 * kTokens * kPanelRows, 64);
  }
}

/// TileFn of bf16.
template <typename Tiles, int kTokens>
void amx_bf16_tile(const TileArgs& args) {
  TileShapes shapes;
  for (int tile = 0; tile < 5; ++tile) shapes.set(tile, kTokens, 64);
  shapes.set(5, 16, 64);
  Tiles::configure(shapes);
  int p = 0;
  for (; p + 4 <= args.panels; p += 4) amx_bf16_panels<Tiles, kTokens, 4>(args, p);
  for (; p < args.panels; ++p) amx_bf16_panels<Tiles, kTokens, 1>(args, p);
  Tiles::release();
}

/// Sums of one group and both panels, to or from tiles `first` and `first + 1`.
template <typename Tiles, int first>
NEUROS_INLINE void load_tile_sums(const float* sums, bool fresh) {
  if (fresh) {
    Tiles::template zero<first>();
    Tiles::template zero<first + 1>();
  } else {
    Tiles::template load<first>(sums, 8 * kPanelRows);
    Tiles::template load<first + 1>(sums + kPanelRows, 8 * kPanelRows);
  }
}

template <typename Tiles, int first>
NEUROS_INLINE void store_tile_sums(float* sums) {
  Tiles::template store<first>(sums, 8 * kPanelRows);
  Tiles::template store<first + 1>(sums + kPanelRows, 8 * kPanelRows);
}

/// Both panels times kGroups groups (1 or 2): tiles 0 to 3 sums, 4 and 5 activations, 6 and 7
/// weights.
template <typename Tiles, int kGroups>
NEUROS_INLINE void amx_bf16_groups(const BlockArgs& args) {
  constexpr int64_t group_sums = 2 * kPanelRows * kAmxTokens;
  const std::byte* x = args.group + args.column * 2 * kAmxTokens;
  const std::byte* weights = args.pair->codes;
  load_tile_sums<Tiles, 0>(args.sums, args.column == 0);
  if constexpr (kGroups == 2) load_tile_sums<Tiles, 2>(args.sums + group_sums, args.column == 0);
  for (int column = 0; column < args.columns; column += 32) {
    Tiles::template load<4>(x, 64);
    Tiles::template load<6>(weights, kPairRowBytes);
    Tiles::template load<7>(weights + 64, kPairRowBytes);
    Tiles::template dot_bf16<0, 4, 6>();
    Tiles::template dot_bf16<1, 4, 7>();
    if constexpr (kGroups == 2) {
      Tiles::template load<5>(x + args.group_bytes, 64);
      Tiles::template dot_bf16<2, 5, 6>();
      Tiles::template dot_bf16<3, 5, 7>();
    }
    x += 64 * kAmxTokens;
    weights += 16 * kPairRowBytes;
  }
  store_tile_sums<Tiles, 0>(args.sums);
  if constexpr (kGroups == 2) store_tile_sums<Tiles, 2>(args.sums + group_sums);
}

/// BlockFn of bf16.
template <typename Tiles>
void amx_bf16_blocks(const BlockArgs& args) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, 16, 64);
  Tiles::configure(shapes);
  BlockArgs one = args;
  for (; one.groups >= 2; one.groups -= 2) {
    amx_bf16_groups<Tiles, 2>(one);
    one.group += 2 * one.group_bytes;
    one.sums += 2 * 2 * kPanelRows * kAmxTokens;
  }
  if (one.groups == 1) amx_bf16_groups<Tiles, 1>(one);
  Tiles::release();
}

template <base::DType kType, typename Tiles>
void use_tiles(EngineTable& table) {
  constexpr PanelFormat format = kPanelFormat<kType>;
  if constexpr (format.columns != 0) {
    table.decode[static_cast<size_t>(kType)] = decode_signed<kType>;
    table.blocks[static_cast<size_t>(kType)] = amx_quantised_blocks<format, Tiles>;
  }
}

template <typename Tiles, size_t... i>
void use_tiles_for_all(EngineTable& table, std::index_sequence<i...>) {
  (use_tiles<static_cast<base::DType>(i), Tiles>(table), ...);
}

/// The table of an engine with vector kernels, with tiles where they are better.
template <typename Tiles>
EngineTable with_tiles(EngineTable table) {
  use_tiles_for_all<Tiles>(table, std::make_index_sequence<base::kWeightDTypeCount>());
  constexpr auto bf16 = static_cast<size_t>(base::DType::kBF16);
  table.tiles[bf16] = {amx_bf16_tile<Tiles, 1>, amx_bf16_tile<Tiles, 2>, amx_bf16_tile<Tiles, 4>,
                       amx_bf16_tile<Tiles, 8>};
  table.decode[bf16] = decode_bf16_tiles;
  table.blocks[bf16] = amx_bf16_blocks<Tiles>;
  for (ActivationKind kind :
       {ActivationKind::kBF16, ActivationKind::kBlock32, ActivationKind::kBlock256}) {
    table.block_tokens[static_cast<size_t>(kind)] = kAmxTokens;
  }
  return table;
}
