// The products on AMX tiles. Included after linear_blocks-inl.h, in the same region; no include
// guard, on purpose. `Tiles` is HardwareTiles, or a model of them in the tests.
//
// Quantised types: groups of 16 tokens, codes decoded as signed bytes. A tile product gives the
// exact integer sums of 16 tokens times 16 rows for the columns that share their scales; scales are
// applied to it in vectors, with the operations of linear_blocks-inl.h in the same order, so that
// tokens of a group have the bits that the vector kernels give tokens outside of one.
//
// A product takes its result some 100 cycles, and a tile reaches vectors only through memory, so
// products go through a pipeline of three stages, four products a step, which runs through all
// groups and both panels of a call. For each of the four tiles, a step scales the sums in memory,
// stores there what the step before has started, and starts another product.

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

/// What is stored of four tiles. A tile's sums are scaled before the next ones take their place, so
/// that no load comes soon after a store with the same low 12 bits of address, which would hold it
/// up. Not part of the pipeline, whose own members then stay in registers.
struct alignas(4096) StoredTiles {
  TileSums sums[kTilesAStep];
};

/// The pipeline. A step takes sums<0>(), renew<0>(), ... sums<3>(), renew<3>().
template <PanelFormat format, typename Tiles>
class ProductPipeline {
 public:
  NEUROS_INLINE ProductPipeline(const BlockArgs& args, int columns, StoredTiles& stored)
      : cursor_(args, columns), stored_(stored) {
    start<0>();
    start<1>();
    start<2>();
    start<3>();
    cursor_.advance();
    renew<0>();
    renew<1>();
    renew<2>();
    renew<3>();
  }

  /// Product q of the step.
  template <int q>
  NEUROS_INLINE const TileSums& sums() const {
    return stored_.sums[q];
  }
  /// Puts product q of the next step in its place, and starts that of the step after it.
  template <int q>
  NEUROS_INLINE void renew() {
    Tiles::template store<q>(stored_.sums[q], 64);
    start<q>();
    cursor_.template prefetch_next_group<q>();
    if constexpr (q + 1 == kTilesAStep) cursor_.advance();
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
  StoredTiles& stored_;
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
    amx_scale_chunk<format>(args, lane, c, products.template sums<0>(), sums);
    products.template renew<0>();
    amx_scale_chunk<format>(args, lane, c + 1, products.template sums<1>(), sums);
    products.template renew<1>();
    amx_scale_chunk<format>(args, lane, c + 2, products.template sums<2>(), sums);
    products.template renew<2>();
    amx_scale_chunk<format>(args, lane, c + 3, products.template sums<3>(), sums);
    products.template renew<3>();
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
    amx_add_scaled(scales[g] + lane, products.template sums<0>(), totals);
    products.template renew<0>();
    amx_add_scaled(scales[g + 1] + lane, products.template sums<1>(), totals);
    products.template renew<1>();
    amx_add_scaled(scales[g + 2] + lane, products.template sums<2>(), totals);
    products.template renew<2>();
    amx_add_scaled(scales[g + 3] + lane, products.template sums<3>(), totals);
    products.template renew<3>();
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
    one.ahead_step = 0;
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
NEUROS_INLINE void scale_plain_part(const BlockArgs& args, const StoredTiles& stored, int c) {
  if (c >= 4 * kRecords) return;
  const Block256Group<kAmxTokens> group(args.group, args.cols);
  const int record = c / 4, lane = c / 2 % 2 * kPanelRows, token = c % 2 * kPlainPartTokens;
  F totals[kPlainPartTokens];
  NEUROS_UNROLL for (int t = 0; t < kPlainPartTokens; ++t) {
    totals[t] = load_dots(stored.sums[c / 2], token + t);
  }
  amx_add_record(args, record, lane, token,
                 group.scales + (args.column / 256 + record) * kAmxTokens, totals);
}

/// The products of both panels and kRecords records (1 or 2) without sub-scales, a tile of sums for
/// each record and panel, so that four chains of products are under way. Between them the group
/// before is scaled, if there is one.
template <typename Tiles, int kRecords>
NEUROS_INLINE void multiply_plain_records(const std::byte* activations, const std::byte* codes,
                                          const BlockArgs* before, StoredTiles& stored) {
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  for (int c = 0; c < 8; ++c) {
    add_plain_chunk<Tiles, 0>(activations, codes);
    if constexpr (kRecords == 2) {
      add_plain_chunk<Tiles, 2>(activations + 256 * kAmxTokens, codes + 64 * kPairRowBytes);
    }
    if (before != nullptr) scale_plain_part<kRecords>(*before, stored, c);
    activations += 32 * kAmxTokens;
    codes += 8 * kPairRowBytes;
  }
  Tiles::template store<0>(stored.sums[0], 64);
  Tiles::template store<1>(stored.sums[1], 64);
  Tiles::template store<2>(stored.sums[2], 64);
  Tiles::template store<3>(stored.sums[3], 64);
}

template <typename Tiles, int kRecords>
void amx_plain_records(const BlockArgs& args) {
  StoredTiles stored;
  const std::byte* activations = args.group + kAmxTokens * args.column;
  const std::byte* codes = args.pair->codes;
  multiply_plain_records<Tiles, kRecords>(activations, codes, nullptr, stored);
  BlockArgs before = args;
  for (int g = 1; g < args.groups; ++g, before = next_group<kAmxTokens>(before)) {
    activations += args.group_bytes;
    multiply_plain_records<Tiles, kRecords>(activations, codes, &before, stored);
  }
  for (int c = 0; c < 4 * kRecords; ++c) scale_plain_part<kRecords>(before, stored, c);
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
