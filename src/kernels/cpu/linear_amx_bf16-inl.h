// The products of bf16 on AMX tiles. Included after linear_amx-inl.h, like it; no include guard, on
// purpose. A tile product rounds in its own way, so tiles are used for every number of tokens.
//
// A chunk of 32 columns of a panel is one whole tile of weights: 16 rows of 64 bytes.

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
    prefetch_weights(one);
    prefetch_weights(one);
    one.group += 2 * one.group_bytes;
    one.sums += 2 * 2 * kPanelRows * kAmxTokens;
  }
  if (one.groups == 1) amx_bf16_groups<Tiles, 1>(one);
  Tiles::release();
}
