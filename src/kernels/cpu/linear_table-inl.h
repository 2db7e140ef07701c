// Fills an EngineTable from the templates of linear_tiles-inl.h and linear_rows-inl.h. Included
// like them. `Bf16Step` is the level's way with bf16 weights. No include guard.

template <base::DType kType, typename Bf16Step, int kTokens>
constexpr TileFn tile_function() {
  using base::DType;
  if constexpr (kType == DType::kF32) return plain_tile<F32Step, kTokens>;
  if constexpr (kType == DType::kF16) return plain_tile<F16Step, kTokens>;
  if constexpr (kType == DType::kBF16) return plain_tile<Bf16Step, kTokens>;
  if constexpr (kPanelFormat<kType>.columns != 0) return quantised_tile<kType, kTokens>;
  return nullptr;
}

template <base::DType kType, typename Bf16Step>
void add_block(EngineTable& table) {
  constexpr bool pairs = sizeof(typename Bf16Step::Activation) == 2;
  constexpr PanelFormat format = kPanelFormat<kType>;
  DecodeFn& decode = table.decode[static_cast<size_t>(kType)];
  BlockFn& block = table.blocks[static_cast<size_t>(kType)];
  if constexpr (format.columns == 0) {
    decode = decode_plain<kType, pairs>;
    using Step = std::conditional_t<kType == base::DType::kBF16 && pairs, Bf16Step, F32Step>;
    block = plain_blocks<Step, kPlainBlockTokens>;
  } else {
    decode = decode_quantised<kType>;
    block = quantised_blocks<format, kBlockTokens>;
  }
}

template <base::DType kType, typename Bf16Step>
void add_type(EngineTable& table) {
  auto& tiles = table.tiles[static_cast<size_t>(kType)];
  tiles[0] = tile_function<kType, Bf16Step, 1>();
  tiles[1] = tile_function<kType, Bf16Step, 2>();
  tiles[2] = tile_function<kType, Bf16Step, 4>();
  if constexpr (kTileTokens >= 8) tiles[3] = tile_function<kType, Bf16Step, 8>();
  constexpr int columns = kPanelFormat<kType>.columns;
  auto& kind = table.kinds[static_cast<size_t>(kType)];
  kind = columns == 0     ? ActivationKind::kF32
         : columns == 256 ? ActivationKind::kBlock256
                          : ActivationKind::kBlock32;
  if (kType == base::DType::kBF16 && sizeof(typename Bf16Step::Activation) == 2) {
    kind = ActivationKind::kBF16;
  }
  add_block<kType, Bf16Step>(table);
}

template <typename Bf16Step, size_t... i>
void add_types(EngineTable& table, std::index_sequence<i...>) {
  (add_type<static_cast<base::DType>(i), Bf16Step>(table), ...);
}

template <typename Bf16Step>
EngineTable make_table() {
  EngineTable table;
  table.tile_tokens = kTileTokens;
  table.block_tokens = {kPlainBlockTokens, kPlainBlockTokens, kBlockTokens, kBlockTokens};
  table.block_columns = {kBlockColumnsF32, kBlockColumnsBF16, kBlockColumnsQuantised,
                         kBlockColumnsQuantised};
  add_types<Bf16Step>(table, std::make_index_sequence<base::kWeightDTypeCount>());
  table.prepare = {prepare_f32, prepare_bf16, prepare_block32, prepare_block256};
  table.finish = finish;
  table.normalise = normalise;
  table.swiglu = swiglu;
  return table;
}
