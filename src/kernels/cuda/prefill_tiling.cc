#include "kernels/cuda/prefill_tiling.h"

#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/prefill_product.h"
#include "kernels/kernel_choices.h"

#include <algorithm>
#include <limits>

namespace neuros::kernels::cuda::prefill {
namespace {

int64_t divide_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit;
}

/// Cycles for bytes from L2 while a share of the multiprocessors is at work: it was measured to
/// give 30 bytes a cycle and multiprocessor to all of them, at most 50 to one.
double l2_cycles(double bytes, double share) {
  return std::max(bytes / 50, bytes * share / 30);
}

/// Which launches of tiles of the largest width have both kinds of them.
enum class Mix {
  kInTime,  ///< where the estimate takes no longer for it
  kNone,
  kBest,  ///< all, in the best proportion
  kHalf,  ///< all, half of either
};

Mix mix_of(const TilingCard& card) {
  if (card.mixed) return Mix::kHalf;
  if (card.width > 0) return Mix::kNone;
  if (card.chosen == kMixedTiles) return Mix::kBest;
  return card.chosen > 0 ? Mix::kNone : Mix::kInTime;
}

double steps_of(const TilingShape& shape) {
  return static_cast<double>(shape.cols) / 16;
}

/// Cycles that a multiprocessor needs for a tile of 128 rows of quantised weights while `active` of
/// them run. For 16 columns: 2048 FMA a cycle; expanding the weights; and L2, of which it has
/// tokens shared by a cluster. Then the tile is written.
double tile_cycles(const TilingCard& card, const TilingShape& shape, int width, int64_t cluster,
                   int64_t active) {
  const auto panels = static_cast<double>(panel_bytes(shape.dtype, shape.cols) * kTilePanels);
  const double bytes = 32.0 * width / static_cast<double>(cluster) + panels / steps_of(shape);
  const double share = static_cast<double>(active) / card.multiprocessors;
  const double step = std::max({static_cast<double>(width), 80.0, l2_cycles(bytes, share)});
  return step * steps_of(shape) + 16.0 * width;
}

/// All tiles of one width, by rounds of as many as there are multiprocessors; where the last round
/// is half empty and tiles can be halved, that round's tiles are (Mix).
Tiling tiling_of_width(const TilingCard& card, const TilingShape& shape, int width) {
  const int64_t cluster = wgmma_cluster(width);
  const auto cycles = [&](int tile_width, int64_t clusters) {
    return tile_cycles(card, shape, tile_width, cluster, clusters * cluster);
  };
  const auto token_tiles = [&](int tile_width) { return divide_up(shape.tokens, tile_width); };
  const int64_t in_round = card.multiprocessors / cluster;
  const int64_t rows = divide_up(shape.row_tiles, cluster);
  const int64_t tiles = rows * token_tiles(width);
  const int64_t rounds = tiles / in_round, rest = tiles % in_round;
  Tiling tiling{.width = width,
                .cluster = cluster,
                .clusters = in_round,
                .wide_row_tiles = shape.row_tiles,
                .wide_tiles = tiles,
                .tiles = tiles,
                .cycles = static_cast<double>(rounds) * cycles(width, in_round)};
  const Mix mix = mix_of(card);
  const int64_t wide_rows = mix == Mix::kHalf ? rows / 2 : rounds * in_round / token_tiles(width);
  const int64_t wide_tiles = wide_rows * token_tiles(width);
  const int64_t with_halves = wide_tiles + (rows - wide_rows) * token_tiles(width / 2);
  const bool in_time = mix == Mix::kInTime && rest > 0 && with_halves <= (rounds + 1) * in_round;
  const bool mixed = in_time || mix == Mix::kHalf || (mix == Mix::kBest && rest > 0);
  if (width < kWgmmaTokensMax || !mixed) {
    if (rest > 0) tiling.cycles += cycles(width, rest);
    return tiling;
  }
  tiling.wide_row_tiles = wide_rows * cluster;
  tiling.wide_tiles = wide_tiles;
  tiling.tiles = with_halves;
  tiling.cycles += cycles(width / 2, std::min(with_halves - rounds * in_round, in_round));
  return tiling;
}

/// What tiles of strips are multiplied by: clusters of so many blocks, some at a time.
struct StripGrid {
  int width = 0;
  int64_t cluster = 0, clusters = 0;
};

/// The same for a tile of some strips of 16-bit weights (prefill_wgmma_halves.cuh): here shared
/// memory counts too, which every strip reads the tokens from.
double strip_tile_cycles(const TilingCard& card, const TilingShape& shape, int strips,
                         const Tiling& tiling) {
  const int width = tiling.width;
  const int64_t active = tiling.tiles * tiling.cluster;
  const double weights = 2048.0 * strips, tokens = 32.0 * width;  // bytes
  const double products = 0.5 * strips * width;
  const double shared = (weights + tokens + strips * (2048.0 + tokens)) / 128;
  const double from_l2 = weights + tokens / static_cast<double>(tiling.cluster);
  const double share = std::min(1.0, static_cast<double>(active) / card.multiprocessors);
  const double step = std::max({products, 1.1 * shared, 80.0, l2_cycles(from_l2, share)});
  return step * steps_of(shape) + 8.0 * strips * width;
}

/// Tiles of one width, of which the first `tall` clusters of row tiles are tall. A cluster of
/// blocks takes tiles in turn, tall ones first: the first one has the most of either.
Tiling tiling_of_strips(const TilingCard& card, const TilingShape& shape, const StripGrid& grid,
                        int64_t tall) {
  const int64_t cluster = grid.cluster, in_round = grid.clusters;
  const int64_t token_tiles = divide_up(shape.tokens, grid.width);
  const int64_t left = std::max<int64_t>(0, shape.strips - tall * cluster * kTallStrips);
  Tiling tiling{.width = grid.width,
                .cluster = cluster,
                .clusters = in_round,
                .tall_row_groups = tall,
                .tall_tiles = tall * token_tiles};
  tiling.tiles = tiling.tall_tiles + divide_up(left, cluster * kLowStrips) * token_tiles;
  const auto cycles = [&](int strips) { return strip_tile_cycles(card, shape, strips, tiling); };
  const int64_t tall_rounds = divide_up(tiling.tall_tiles, in_round);
  const int64_t low_rounds = divide_up(tiling.tiles, in_round) - tall_rounds;
  tiling.cycles = static_cast<double>(tall_rounds) * cycles(kTallStrips) +
                  static_cast<double>(low_rounds) * cycles(kLowStrips);
  return tiling;
}

/// With as many tall tiles as serve best: none, all, or what fills some rounds.
Tiling best_of_strips(const TilingCard& card, const TilingShape& shape, const StripGrid& grid) {
  const Mix mix = mix_of(card);
  const Tiling low = tiling_of_strips(card, shape, grid, 0);
  if (grid.width < kWgmmaTokensMax || mix == Mix::kNone) return low;
  const int64_t all = divide_up(shape.strips, grid.cluster * kTallStrips);
  if (mix == Mix::kHalf) return tiling_of_strips(card, shape, grid, divide_up(all, 2));
  const int64_t token_tiles = divide_up(shape.tokens, grid.width);
  Tiling best = low;
  if (mix == Mix::kBest) best.cycles = std::numeric_limits<double>::infinity();
  for (int64_t rounds = 1;; ++rounds) {
    const int64_t tall = std::min(all, rounds * grid.clusters / token_tiles);
    const Tiling tiling = tiling_of_strips(card, shape, grid, tall);
    if (tall > 0 && tiling.cycles < best.cycles) best = tiling;
    if (tall == all) return best;
  }
}

/// In large clusters, which ask less of L2, where these take no longer than small ones.
Tiling best_of_strips(const TilingCard& card, const TilingShape& shape, int width) {
  const int small = wgmma_cluster(width);
  const StripGrid in_small{
      .width = width, .cluster = small, .clusters = card.multiprocessors / small};
  const bool can_be_large = width == kWgmmaTokensMax && card.large_clusters > 0;
  if (!can_be_large || card.cluster == small) return best_of_strips(card, shape, in_small);
  const Tiling large = best_of_strips(
      card, shape, {.width = width, .cluster = kLargeCluster, .clusters = card.large_clusters});
  if (card.cluster == kLargeCluster) return large;
  const Tiling other = best_of_strips(card, shape, in_small);
  return other.cycles < large.cycles ? other : large;
}

}  // namespace

Tiling choose_tiling(const TilingCard& card, const TilingShape& shape) {
  const int wanted = card.width > 0 ? card.width : std::min(card.chosen, kWgmmaTokensMax);
  Tiling best;
  for (const int width : {256, 128, 64}) {
    if (wanted > 0 && width != wanted) continue;
    const Tiling tiling = base::is_quantised(shape.dtype) ? tiling_of_width(card, shape, width)
                                                          : best_of_strips(card, shape, width);
    if (best.width == 0 || tiling.cycles < best.cycles) best = tiling;
  }
  return best;
}

int choice_of(const TilingShape& shape, const Tiling& tiling) {
  const bool mixed =
      base::is_quantised(shape.dtype) ? tiling.wide_tiles < tiling.tiles : tiling.tall_tiles > 0;
  return mixed ? kMixedTiles : tiling.width;
}

}  // namespace neuros::kernels::cuda::prefill
