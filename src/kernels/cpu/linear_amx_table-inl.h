// Fills an EngineTable with the kernels on AMX tiles. Included after linear_amx_bf16-inl.h, like
// it; no include guard, on purpose.

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
