#include "kernels/cuda/prefill.h"

#include "base/check.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

namespace neuros::kernels::cuda {
namespace prefill {
namespace {

using base::DType;

/// A kernel and the tiles it computes.
struct Kernel {
  ProductLaunch launch = nullptr;
  int rows = kTileRows;
  int tokens = 0;
};

/// What one launch multiplies: matrices of one type.
struct Products {
  DType dtype = DType::kF32;
  std::array<ProductTask, kTasksMax> tasks{};
  int count = 0;

  void add(const ProductTask& task) { tasks.at(static_cast<size_t>(count++)) = task; }
  bool swiglu() const { return tasks[0].up != nullptr; }
  std::span<const ProductTask> all() const { return {tasks.data(), static_cast<size_t>(count)}; }
  /// In tiles of so many rows, of which SwiGLU has half from either matrix.
  int row_tiles(int tile_rows) const {
    int tiles = 0;
    for (const ProductTask& task : all()) tiles += tiles_of(task, tile_rows);
    return tiles;
  }
  int tiles_of(const ProductTask& task, int tile_rows) const {
    return (task.rows - 1) / (swiglu() ? tile_rows / 2 : tile_rows) + 1;
  }
};

struct Card {
  int compute_capability = 0;
  int multiprocessors = 0;
  bool wgmma = false;
  int tile_width = 0;         ///< of wgmma; 0: the best
  bool mixed_widths = false;  ///< half of the row tiles are halved, needed or not
};

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, which, device);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  return value;
}

/// NEUROS_CUDA_PATH, for tests: "generic" keeps to the instructions that every card has, "wgmma64",
/// "wgmma128" and "wgmma256" to tiles of that width; "wgmma256+128" has both.
Card this_card() {
  const char* given = std::getenv("NEUROS_CUDA_PATH");
  const std::string_view path = given == nullptr ? "" : given;
  Card card{.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                                  attribute(cudaDevAttrComputeCapabilityMinor),
            .multiprocessors = attribute(cudaDevAttrMultiProcessorCount)};
  card.wgmma = card.compute_capability == 90 && path != "generic";
  for (const int width : {64, 128, 256}) {
    if (path == "wgmma" + std::to_string(width)) card.tile_width = width;
  }
  card.mixed_widths = path == "wgmma256+128";
  if (card.mixed_widths) card.tile_width = kWgmmaTokensMax;
  return card;
}

/// How wgmma kernels cut a launch into tiles. Results do not depend on it (prefill_tile.cuh).
struct Tiling {
  int width = 0;
  int64_t wide_row_tiles = 0, wide_tiles = 0, tiles = 0;  ///< ProductArgs
  double cycles = 0.0;
};

/// Cycles that a multiprocessor needs for a tile of 128 rows while `active` of them run. For 16
/// columns: 2048 FMA a cycle; expanding the weights; and L2, of which it has tokens shared by a
/// cluster. Then the tile is written. Estimates: L2 gives 30 bytes a cycle and multiprocessor to
/// all of them, at most 50 to one. `weight_bytes` are of 128 x 16.
double tile_cycles(const Card& card, int64_t cols, double weight_bytes, int width, int cluster,
                   int64_t active) {
  const double bytes = 32.0 * width / cluster + weight_bytes;
  const double share = static_cast<double>(active) / card.multiprocessors;
  const double step = std::max({static_cast<double>(width), 80.0, bytes / 50, bytes * share / 30});
  return step * static_cast<double>(cols) / 16 + 16.0 * width;
}

/// All tiles of one width, by rounds of as many as there are multiprocessors; where the last round
/// is half empty and tiles can be halved, that round's tiles are.
Tiling tiling_of_width(const Card& card, const Products& products, const ActivationSource& source,
                       int width) {
  const double weight_bytes =
      static_cast<double>(panel_bytes(products.dtype, source.cols) * kTilePanels * 16) /
      static_cast<double>(source.cols);
  const int64_t cluster = wgmma_cluster(width);
  const auto cycles = [&](int tile_width, int64_t clusters) {
    return tile_cycles(card, source.cols, weight_bytes, tile_width, static_cast<int>(cluster),
                       clusters * cluster);
  };
  const auto token_tiles = [&](int tile_width) { return (source.tokens - 1) / tile_width + 1; };
  const int64_t in_round = card.multiprocessors / cluster;
  const int64_t rows = round_up(products.row_tiles(kTileRows), cluster) / cluster;
  const int64_t tiles = rows * token_tiles(width);
  const int64_t rounds = tiles / in_round, rest = tiles % in_round;
  Tiling tiling{.width = width,
                .wide_row_tiles = products.row_tiles(kTileRows),
                .wide_tiles = tiles,
                .tiles = tiles,
                .cycles = static_cast<double>(rounds) * cycles(width, in_round)};
  const int64_t wide_rows = card.mixed_widths ? rows / 2 : rounds * in_round / token_tiles(width);
  const int64_t wide_tiles = wide_rows * token_tiles(width);
  const int64_t with_halves = wide_tiles + (rows - wide_rows) * token_tiles(width / 2);
  const bool in_time = card.tile_width == 0 && rest > 0 && with_halves <= (rounds + 1) * in_round;
  if (width < kWgmmaTokensMax || !(in_time || card.mixed_widths)) {
    if (rest > 0) tiling.cycles += cycles(width, rest);
    return tiling;
  }
  tiling.wide_row_tiles = wide_rows * cluster;
  tiling.wide_tiles = wide_tiles;
  tiling.tiles = with_halves;
  tiling.cycles += cycles(width / 2, std::min(with_halves - rounds * in_round, in_round));
  return tiling;
}

/// The one with the least time.
Tiling choose_tiling(const Card& card, const Products& products, const ActivationSource& source) {
  Tiling best;
  for (const int width : {256, 128, 64}) {
    if (card.tile_width > 0 && width != card.tile_width) continue;
    const Tiling tiling = tiling_of_width(card, products, source, width);
    if (best.width == 0 || tiling.cycles < best.cycles) best = tiling;
  }
  return best;
}

template <DType kType>
Kernel tensor_kernel(const Card& card, int width) {
  if (!card.wgmma) return {.launch = launch_mma<kType>, .tokens = kMmaTokens};
  switch (width) {
    case 256:
      return {.launch = launch_wgmma<kType, 256>, .tokens = 256};
    case 128:
      return {.launch = launch_wgmma<kType, 128>, .tokens = 128};
    default:
      return {.launch = launch_wgmma<kType, 64>, .tokens = 64};
  }
}

Kernel choose(const Card& card, const Products& products, int width) {
  constexpr Kernel kFma{.rows = kFmaRows, .tokens = kFmaTokens};
  Kernel kernel = kFma;
  switch (products.dtype) {
    case DType::kF32:
      kernel.launch = launch_fma<DType::kF32>;
      return kernel;
    case DType::kBF16:
      if (card.compute_capability >= 80) return tensor_kernel<DType::kBF16>(card, width);
      kernel.launch = launch_fma<DType::kBF16>;
      return kernel;
#define NEUROS_TENSOR_KERNEL(type) \
  case DType::type:                \
    return tensor_kernel<DType::type>(card, width)
      NEUROS_TENSOR_KERNEL(kF16);
      NEUROS_TENSOR_KERNEL(kQ4_0);
      NEUROS_TENSOR_KERNEL(kQ4_1);
      NEUROS_TENSOR_KERNEL(kQ5_0);
      NEUROS_TENSOR_KERNEL(kQ5_1);
      NEUROS_TENSOR_KERNEL(kQ8_0);
      NEUROS_TENSOR_KERNEL(kQ2_K);
      NEUROS_TENSOR_KERNEL(kQ3_K);
      NEUROS_TENSOR_KERNEL(kQ4_K);
      NEUROS_TENSOR_KERNEL(kQ5_K);
      NEUROS_TENSOR_KERNEL(kQ6_K);
      NEUROS_TENSOR_KERNEL(kIQ4_NL);
      NEUROS_TENSOR_KERNEL(kIQ4_XS);
      NEUROS_TENSOR_KERNEL(kTQ2_0);
      NEUROS_TENSOR_KERNEL(kQ2_0);
      NEUROS_TENSOR_KERNEL(kQ2_0_128);
#undef NEUROS_TENSOR_KERNEL
    case DType::kTQ1_0:  // packed as TQ2_0 is
      return tensor_kernel<DType::kTQ2_0>(card, width);
    default:
      break;
  }
  CHECK(false, "not a type of weights");
}

Prepared prepared_kind(const Card& card, DType dtype) {
  if (dtype == DType::kF32) return Prepared::kF32;
  if (dtype != DType::kBF16) return Prepared::kF16;
  return card.compute_capability >= 80 ? Prepared::kBF16 : Prepared::kF32;
}

/// Where prepared activations lie in the scratch: the tokens' factors, then the activations and
/// what tiles may read after them.
struct Layout {
  int64_t tokens, cols, factor_bytes, bytes;

  Layout(Prepared kind, int64_t source_tokens, int64_t source_cols)
      : tokens(round_up(source_tokens, kPadTokens)),
        cols(round_up(source_cols, kind == Prepared::kF32 ? 4 : kPadColumns)),
        factor_bytes(round_up(tokens * 4, 256)),
        bytes(factor_bytes + tokens * cols * (kind == Prepared::kF32 ? 4 : 2) + kTileBytesMax) {}
};

void prepare(const OpContext& context, Prepared kind, const ActivationSource& source,
             std::span<std::byte> scratch) {
  const Layout layout(kind, source.tokens, source.cols);
  CHECK(layout.bytes <= std::ssize(scratch), "scratch of products");
  prepare_activations(context, kind,
                      {.source = source,
                       .padded_tokens = layout.tokens,
                       .padded_cols = layout.cols,
                       .out = scratch.data() + layout.factor_bytes,
                       .token_factors = reinterpret_cast<float*>(scratch.data())});
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

void multiply(const OpContext& context, const Card& card, Prepared kind, const Products& products,
              const ActivationSource& source, std::span<std::byte> scratch) {
  const Tiling tiling = choose_tiling(card, products, source);
  const Kernel kernel = choose(card, products, tiling.width);
  const Layout layout(kind, source.tokens, source.cols);
  ProductArgs args{.tasks = {},
                   .swiglu = products.swiglu(),
                   .wide_row_tiles = static_cast<int>(tiling.wide_row_tiles),
                   .wide_tiles = static_cast<int>(tiling.wide_tiles),
                   .tiles = static_cast<int>(tiling.tiles),
                   .tokens = static_cast<int>(source.tokens),
                   .padded_tokens = static_cast<int>(layout.tokens),
                   .token_tiles = static_cast<int>((source.tokens - 1) / kernel.tokens + 1),
                   .cols = static_cast<int>(source.cols),
                   .padded_cols = static_cast<int>(layout.cols),
                   .panel_bytes = panel_bytes(products.dtype, source.cols),
                   .activations = scratch.data() + layout.factor_bytes,
                   .token_factors = reinterpret_cast<const float*>(scratch.data()),
                   .multiprocessors = card.multiprocessors};
  if (base::is_quantised(products.dtype)) args.weight_factor = 1.0f / kWeightFactor;
  for (const ProductTask& product : products.all()) {
    CHECK(product.residual == nullptr || product.gate == nullptr);
    ProductTask& task = args.tasks[args.task_count++] = product;
    task.first_tile = args.row_tiles;
    task.aligned = task.rows % 4 == 0 && is_aligned(task.y) && is_aligned(task.bias) &&
                   is_aligned(task.residual) && is_aligned(task.gate);
    args.row_tiles += products.tiles_of(task, kernel.rows);
  }
  kernel.launch(context, args);
}

/// All tasks, activations prepared once for each kind and a launch for each type.
void multiply_all(const OpContext& context, const ActivationSource& source,
                  std::span<const ProductTask> tasks, std::array<DType, kTasksMax> dtypes,
                  std::span<std::byte> scratch) {
  if (source.tokens == 0) return;
  const Card card = this_card();
  for (const Prepared kind : {Prepared::kF16, Prepared::kBF16, Prepared::kF32}) {
    bool prepared = false;
    for (int type = 0; type < base::kWeightDTypeCount; ++type) {
      Products products{.dtype = static_cast<DType>(type)};
      if (prepared_kind(card, products.dtype) != kind) continue;
      for (size_t i = 0; i < tasks.size(); ++i) {
        if (dtypes[i] == products.dtype && tasks[i].rows > 0) products.add(tasks[i]);
      }
      if (products.count == 0) continue;
      if (!prepared) prepare(context, kind, source, scratch);
      prepared = true;
      multiply(context, card, kind, products, source, scratch);
    }
  }
}

}  // namespace
}  // namespace prefill

using namespace prefill;

void prefill_tasks(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask> tasks, std::span<std::byte> scratch) {
  CHECK(tasks.size() <= kTasksMax);
  std::array<ProductTask, kTasksMax> all;
  std::array<DType, kTasksMax> dtypes{};
  for (size_t i = 0; i < tasks.size(); ++i) {
    const LinearTask& task = tasks[i];
    CHECK(task.weight.cols == source.cols);
    dtypes[i] = task.weight.dtype;
    all[i] = {.weight = task.weight.data,
              .bias = task.bias,
              .residual = task.residual,
              .y = task.y,
              .rows = static_cast<int>(task.weight.rows)};
  }
  multiply_all(context, source, {all.data(), tasks.size()}, dtypes, scratch);
}

void prefill_swiglu(const OpContext& context, const ActivationSource& source,
                    const PackedMatrix& gate, const PackedMatrix& up, float* out,
                    std::span<std::byte> scratch) {
  CHECK(gate.rows == up.rows && gate.cols == source.cols && up.cols == source.cols);
  const auto rows = static_cast<int>(gate.rows);
  if (gate.dtype == up.dtype) {
    const ProductTask both{.weight = gate.data, .up = up.data, .y = out, .rows = rows};
    return multiply_all(context, source, {&both, 1}, {gate.dtype}, scratch);
  }
  const ProductTask first{.weight = gate.data, .y = out, .rows = rows};
  multiply_all(context, source, {&first, 1}, {gate.dtype}, scratch);
  const ProductTask second{.weight = up.data, .gate = out, .y = out, .rows = rows};
  multiply_all(context, source, {&second, 1}, {up.dtype}, scratch);
}

int64_t prefill_scratch_bytes(const OpLimits& limits) {
  int64_t bytes = 0;
  for (const Prepared kind : {Prepared::kF16, Prepared::kBF16, Prepared::kF32}) {
    bytes = std::max(bytes, Layout(kind, limits.tokens, limits.cols).bytes);
  }
  return bytes;
}

}  // namespace neuros::kernels::cuda
