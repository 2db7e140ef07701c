// The products on AMX tiles. Included after linear_blocks-inl.h, in the same region; no include
// guard, on purpose. `Tiles` is HardwareTiles, or a model of them in the tests.
//
// Quantised types: groups of 16 tokens, codes decoded as signed bytes. A tile product gives the
// exact integer sums of 16 tokens times 16 rows for the columns that share their scales; scales are
// applied to it in vectors, with the operations of linear_blocks-inl.h in the same order, so that
// tokens of a group have the bits that the vector kernels give tokens outside of one.
//
// A product takes its result some 100 cycles, and a tile reaches vectors only through memory, so
// products go through a pipeline of three stages, four products a step: a step starts the products
// of four tiles, having stored what the step before had started in them, and scales what was stored
// in that one. Each of the four is interleaved with the scaling of another. The pipeline runs
// through all groups and both panels of a call.
//
// bf16: the tile product rounds in its own way, so it is used for every number of tokens.

inline constexpr int kAmxTokens = 16;
inline constexpr int kTilesAStep = 4;
inline constexpr int kPlainPartTokens = kAmxTokens / 2;
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

/// Tiles 0 to 3: sums; 4, 5: activations of `columns` columns; 6, 7: codes of as many.
inline TileShapes int8_shapes(int columns) {
  TileShapes shapes;
  for (int tile = 0; tile < kTilesAStep; ++tile) shapes.set(tile, kAmxTokens, 64);
  for (int tile : {4, 5}) shapes.set(tile, kAmxTokens, columns);
  for (int tile : {6, 7}) shapes.set(tile, columns / 4, 64);
  return shapes;
}

NEUROS_INLINE F load_dots(const TileSums& sums, int token) {
  return f_from_i(i_load(reinterpret_cast<const std::byte*>(sums[token])));
}

/// Columns of a product: those that share their scales, as far as a tile's row of 32 bytes goes.
template <PanelFormat format>
inline constexpr int kProductColumns = format.sub_columns == 16 ? 16 : 32;

/// Walks over the products of a call, a step of four after another: every group, both panels of
/// each, the columns of each, whose number is a multiple of a step's. After the last step it stays
/// where it is.
template <PanelFormat format>
class ProductCursor {
 public:
  static constexpr int kColumns = kProductColumns<format>;
  static constexpr int kStepBytes = kTilesAStep * kColumns * kAmxTokens;  ///< of activations

  NEUROS_INLINE ProductCursor(const BlockArgs& args, int columns)
      : activations_(args.group + kAmxTokens * args.column),
        codes_(args.pair->codes),
        next_group_(activations_ + args.group_bytes),
        group_bytes_(args.group_bytes),
        row_bytes_(kAmxTokens * columns),
        groups_(args.groups) {}

  /// Of product q of the step.
  template <int q>
  NEUROS_INLINE const std::byte* activations() const {
    constexpr int column = q * kColumns;
    return activations_ + at_ + column / 32 * 32 * kAmxTokens + column % 32;
  }
  template <int q>
  NEUROS_INLINE const std::byte* codes() const {
    return codes_ + kPairRowBytes / (4 * kAmxTokens) * at_ + kColumns / 4 * kPairRowBytes * q;
  }
  /// Asks for a quarter of the step's activations of the next group that this panel is to ask for:
  /// half of them.
  template <int q>
  NEUROS_INLINE void prefetch_next_group() const {
    constexpr int each = kStepBytes / 2 / kTilesAStep;
    NEUROS_UNROLL for (int i = 0; i < each; i += 64) prefetch(next_group_ + at_ + q * each + i);
  }
  NEUROS_INLINE void advance() {
    at_ += kStepBytes;
    if (at_ >= row_bytes_) next_panel();
  }

 private:
  NEUROS_INLINE void next_panel() {
    constexpr int panel = 4 * kPanelRows;
    at_ = 0;
    second_ = !second_;
    codes_ += second_ ? panel : -panel;
    next_group_ += second_ ? kStepBytes / 2 : -kStepBytes / 2;
    if (second_ || groups_ == 1) return;
    --groups_;
    activations_ += group_bytes_;
    next_group_ += group_bytes_;
  }

  const std::byte* activations_;  ///< of the group, from the block's first column on
  const std::byte* codes_;        ///< of the panel
  const std::byte* next_group_;   ///< what to ask for there
  int64_t group_bytes_;
  int64_t row_bytes_;    ///< of activations in all of the group's steps
  int64_t at_ = 0;       ///< the step's place among them
  int groups_;           ///< left, this one included
  bool second_ = false;  ///< at the second panel
};

/// What the pipeline stores. Apart from the pipeline, whose own members then stay in registers.
struct alignas(64) StoredTiles {
  TileSums sums[2][kTilesAStep];
};

/// The pipeline: each step takes the results of four products in turn, next<0>() to next<3>().
template <PanelFormat format, typename Tiles>
class ProductPipeline {
 public:
  NEUROS_INLINE ProductPipeline(const BlockArgs& args, int columns, StoredTiles& stored)
      : cursor_(args, columns), to_(stored.sums[0]), from_(stored.sums[1]) {
    start<0>();
    start<1>();
    start<2>();
    start<3>();
    cursor_.advance();
    next<0>();
    next<1>();
    next<2>();
    next<3>();
  }

  /// Stores what is in tile q and starts another product in it; the sums of the product whose turn
  /// it is.
  template <int q>
  NEUROS_INLINE const TileSums& next() {
    const TileSums& sums = from_[q];
    Tiles::template store<q>(to_[q], 64);
    start<q>();
    cursor_.template prefetch_next_group<q>();
    if constexpr (q + 1 == kTilesAStep) {
      cursor_.advance();
      TileSums* const stored = to_;
      to_ = from_;
      from_ = stored;
    }
    return sums;
  }

 private:
  template <int q>
  NEUROS_INLINE void start() {
    constexpr int activations = 4 + q % 2, codes = 6 + q % 2;
    Tiles::template zero<q>();
    Tiles::template load<activations>(cursor_.template activations<q>(), 32);
    Tiles::template load<codes>(cursor_.template codes<q>(), kPairRowBytes);
    Tiles::template dot_int8<q, activations, codes>();
  }

  ProductCursor<format> cursor_;
  TileSums* to_;
  TileSums* from_;
};

/// sums += scales * dots of chunk c of a block, for types with one scale for at least 32 columns.
template <PanelFormat format>
NEUROS_INLINE void amx_scale_chunk(const BlockArgs& args, int lane, int c, const TileSums& dots,
                                   F (&sums)[kAmxTokens]) {
  const Block32Group<kAmxTokens> group(args.group, args.cols);
  const int64_t at = (args.column / 32 + c) * kAmxTokens;
  const F scale = f_load(args.pair->scales[c] + lane);
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    sums[t] = f_fma(load_dots(dots, t), f_mul(scale, f_set(group.scales[at + t])), sums[t]);
  }
  if constexpr (format.header_values == 2) {
    const F minimum = f_load(args.pair->minimum_values[c] + lane);
    NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
      sums[t] = f_fma(minimum, f_set(group.scaled_sums[at + t]), sums[t]);
    }
  }
}

/// Sums of one panel for the group so far; `column` is the next one's.
NEUROS_INLINE void amx_load_sums(const BlockArgs& args, int lane, int64_t column,
                                 F (&sums)[kAmxTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    sums[t] = column == 0 ? f_zero() : f_load(args.sums + 2 * kPanelRows * t + lane);
  }
}

NEUROS_INLINE void amx_store_sums(const BlockArgs& args, int lane, const F (&sums)[kAmxTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    f_store(args.sums + 2 * kPanelRows * t + lane, sums[t]);
  }
}

/// One panel of a pair times one group, for these types: chunks [0, chunks), whole steps.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_block32(const BlockArgs& args, int lane, int chunks,
                               ProductPipeline<format, Tiles>& products) {
  F sums[kAmxTokens];
  amx_load_sums(args, lane, args.column, sums);
  for (int c = 0; c < chunks; c += kTilesAStep) {
    amx_scale_chunk<format>(args, lane, c, products.template next<0>(), sums);
    amx_scale_chunk<format>(args, lane, c + 1, products.template next<1>(), sums);
    amx_scale_chunk<format>(args, lane, c + 2, products.template next<2>(), sums);
    amx_scale_chunk<format>(args, lane, c + 3, products.template next<3>(), sums);
  }
  amx_store_sums(args, lane, sums);
}

/// The chunks of a block from `first` on, which are fewer than a step: one after another.
template <PanelFormat format, typename Tiles>
void amx_last_chunks(const BlockArgs& args, int lane, int first) {
  alignas(64) TileSums dots;
  F sums[kAmxTokens];
  amx_load_sums(args, lane, args.column + 32 * first, sums);
  const std::byte* activations = args.group + kAmxTokens * args.column;
  const std::byte* codes = args.pair->codes + 4 * lane;
  for (int c = first; 32 * c < args.columns; ++c) {
    Tiles::template zero<0>();
    Tiles::template load<4>(activations + 32 * kAmxTokens * c, 32);
    Tiles::template load<6>(codes + 8 * kPairRowBytes * c, kPairRowBytes);
    Tiles::template dot_int8<0, 4, 6>();
    Tiles::template store<0>(dots, 64);
    amx_scale_chunk<format>(args, lane, c, dots, sums);
  }
  amx_store_sums(args, lane, sums);
}

/// totals += sub-scale * dots.
NEUROS_INLINE void amx_add_scaled(const float* scales, const TileSums& dots,
                                  F (&totals)[kAmxTokens]) {
  const F scale = f_load(scales);
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) {
    totals[t] = f_fma(load_dots(dots, t), scale, totals[t]);
  }
}

/// Sums of one record, each group of columns times its sub-scale.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_scaled_record(const float (*scales)[2 * kPanelRows], int lane,
                                     ProductPipeline<format, Tiles>& products,
                                     F (&totals)[kAmxTokens]) {
  NEUROS_UNROLL for (int t = 0; t < kAmxTokens; ++t) totals[t] = f_zero();
  for (int g = 0; g < format.sub_groups(); g += kTilesAStep) {
    amx_add_scaled(scales[g] + lane, products.template next<0>(), totals);
    amx_add_scaled(scales[g + 1] + lane, products.template next<1>(), totals);
    amx_add_scaled(scales[g + 2] + lane, products.template next<2>(), totals);
    amx_add_scaled(scales[g + 3] + lane, products.template next<3>(), totals);
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

/// The sums in memory += d of rows and token * totals of a record, for some tokens.
template <int kTokens>
NEUROS_INLINE void amx_add_record(const BlockArgs& args, int record, int lane, int token,
                                  const float* scales, const F (&totals)[kTokens]) {
  const F scale = f_load(args.pair->record_scales[record] + lane);
  const bool fresh = args.column == 0 && record == 0;
  NEUROS_UNROLL for (int t = 0; t < kTokens; ++t) {
    float* to = args.sums + 2 * kPanelRows * (token + t) + lane;
    const F before = fresh ? f_zero() : f_load(to);
    f_store(to, f_fma(totals[t], f_mul(scale, f_set(scales[token + t])), before));
  }
}

/// One panel of a pair times one group, for types with records of 256 columns and sub-scales.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_block256(const BlockArgs& args, int lane,
                                ProductPipeline<format, Tiles>& products) {
  const Block256Group<kAmxTokens> group(args.group, args.cols);
  for (int r = 0; r < args.columns / 256; ++r) {
    const int64_t at = (args.column / 256 + r) * kAmxTokens;
    F totals[kAmxTokens];
    amx_scaled_record(args.pair->scales + format.sub_groups() * r, lane, products, totals);
    amx_add_record(args, r, lane, 0, group.scales + at, totals);
    if constexpr (format.header_values == 2) {
      amx_subtract_minima<format>(args, r, lane, group.scales + at,
                                  minimum_sums<format>(group, at));
    }
  }
}

/// Columns [0, columns) of a block, whole steps, of all groups and both panels.
template <PanelFormat format, typename Tiles>
NEUROS_INLINE void amx_steps(const BlockArgs& args, int columns) {
  StoredTiles stored;
  ProductPipeline<format, Tiles> products(args, columns, stored);
  for (BlockArgs one = args; one.groups > 0; one = next_group<kAmxTokens>(one)) {
    for (int lane = 0; lane < 2 * kPanelRows; lane += kPanelRows) {
      if constexpr (format.columns == 256) {
        amx_block256(one, lane, products);
      } else {
        amx_block32(one, lane, columns / 32, products);
      }
    }
  }
}

/// BlockFn of a quantised type that is scaled within 256 columns.
template <PanelFormat format, typename Tiles>
void amx_scaled_blocks(const BlockArgs& args) {
  constexpr int step = kTilesAStep * kProductColumns<format>;
  const int columns = args.columns / step * step;
  Tiles::configure(int8_shapes(kProductColumns<format>));
  if (columns > 0) amx_steps<format, Tiles>(args, columns);
  if constexpr (format.columns != 256) {
    BlockArgs one = args;
    for (; one.groups > 0 && columns < args.columns; one = next_group<kAmxTokens>(one)) {
      amx_last_chunks<format, Tiles>(one, 0, columns / 32);
      amx_last_chunks<format, Tiles>(one, kPanelRows, columns / 32);
    }
  }
  Tiles::release();
}

/// Adds the products of a chunk of both panels to tiles `first` and `first + 1`: activations
/// through tile 4 or 5, codes through 6 and 7.
template <typename Tiles, int first>
NEUROS_INLINE void add_plain_chunk(const std::byte* activations, const std::byte* codes) {
  constexpr int x = 4 + first / 2;
  Tiles::template load<x>(activations, 32);
  Tiles::template load<6>(codes, kPairRowBytes);
  Tiles::template dot_int8<first, x, 6>();
  Tiles::template load<7>(codes + 4 * kPanelRows, kPairRowBytes);
  Tiles::template dot_int8<first + 1, x, 7>();
}

/// Scales part `c` of what was stored of one group, an eighth of its tokens and rows: the tiles of
/// a record's two panels, records one after another.
template <int kRecords>
NEUROS_INLINE void scale_plain_part(const BlockArgs& args, const TileSums (&stored)[kTilesAStep],
                                    int c) {
  if (c >= 4 * kRecords) return;
  const Block256Group<kAmxTokens> group(args.group, args.cols);
  const int record = c / 4, lane = c / 2 % 2 * kPanelRows, token = c % 2 * kPlainPartTokens;
  F totals[kPlainPartTokens];
  NEUROS_UNROLL for (int t = 0; t < kPlainPartTokens; ++t) {
    totals[t] = load_dots(stored[c / 2], token + t);
  }
  amx_add_record(args, record, lane, token,
                 group.scales + (args.column / 256 + record) * kAmxTokens, totals);
}

/// The products of both panels and kRecords records (1 or 2) without sub-scales, a tile of sums for
/// each record and panel, so that four chains of products are under way. Between them the group
/// before is scaled, whose products `before` are, if there is one.
template <typename Tiles, int kRecords>
NEUROS_INLINE void multiply_plain_records(const std::byte* activations, const std::byte* codes,
                                          const BlockArgs& before,
                                          const TileSums (*products)[kTilesAStep]) {
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  for (int c = 0; c < 8; ++c) {
    add_plain_chunk<Tiles, 0>(activations, codes);
    if constexpr (kRecords == 2) {
      add_plain_chunk<Tiles, 2>(activations + 256 * kAmxTokens, codes + 64 * kPairRowBytes);
    }
    if (products != nullptr) scale_plain_part<kRecords>(before, *products, c);
    activations += 32 * kAmxTokens;
    codes += 8 * kPairRowBytes;
  }
}

template <typename Tiles>
NEUROS_INLINE void store_step(TileSums (&to)[kTilesAStep]) {
  Tiles::template store<0>(to[0], 64);
  Tiles::template store<1>(to[1], 64);
  Tiles::template store<2>(to[2], 64);
  Tiles::template store<3>(to[3], 64);
}

template <typename Tiles, int kRecords>
void amx_plain_records(const BlockArgs& args) {
  StoredTiles stored;
  const std::byte* activations = args.group + kAmxTokens * args.column;
  const std::byte* codes = args.pair->codes;
  multiply_plain_records<Tiles, kRecords>(activations, codes, args, nullptr);
  store_step<Tiles>(stored.sums[0]);
  BlockArgs before = args;
  for (int g = 1; g < args.groups; ++g, before = next_group<kAmxTokens>(before)) {
    activations += args.group_bytes;
    multiply_plain_records<Tiles, kRecords>(activations, codes, before, &stored.sums[(g - 1) % 2]);
    store_step<Tiles>(stored.sums[g % 2]);
  }
  for (int c = 0; c < 8; ++c) {
    scale_plain_part<kRecords>(before, stored.sums[(args.groups - 1) % 2], c);
  }
}

/// BlockFn of a type with one scale for 256 columns.
template <typename Tiles>
void amx_plain_blocks(const BlockArgs& args) {
  Tiles::configure(int8_shapes(32));
  if (args.columns == 512) {
    amx_plain_records<Tiles, 2>(args);
  } else {
    amx_plain_records<Tiles, 1>(args);
  }
  Tiles::release();
}

template <PanelFormat format, typename Tiles>
constexpr BlockFn amx_blocks() {
  if constexpr (format.columns == 256 && format.sub_scales == SubScales::kNone) {
    return amx_plain_blocks<Tiles>;
  } else {
    return amx_scaled_blocks<format, Tiles>;
  }
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
    table.blocks[static_cast<size_t>(kType)] = amx_blocks<format, Tiles>();
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
