#include "kernels/cuda/prefill.h"

#include "base/check.h"
#include "kernels/cuda/choice_values.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tiling.h"

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
  HeadsView heads{};  ///< of tasks with roles
  bool bf16_pages = false;

  void add(const ProductTask& task) { tasks.at(static_cast<size_t>(count++)) = task; }
  bool swiglu() const { return tasks[0].up != nullptr; }
  std::span<const ProductTask> all() const { return {tasks.data(), static_cast<size_t>(count)}; }
  ChoiceKey key(const ActivationSource& source) const {
    ChoiceKey key{.op = swiglu() ? ChoiceOp::kPromptGated : ChoiceOp::kPrompt,
                  .dtype = dtype,
                  .cols = source.cols,
                  .tokens = source.tokens};
    for (const ProductTask& task : all()) key.rows += swiglu() ? 2 * task.rows : task.rows;
    return key;
  }
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
  bool wgmma = false;
  TilingCard tiling;
};

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, which, device);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  return value;
}

/// NEUROS_CUDA_PATH, for tests: "generic" keeps to the instructions that every card has, "wgmma64",
/// "wgmma128" and "wgmma256" to tiles of that width; "wgmma256+128" has both, of 16-bit weights
/// both heights. With "x4" after it 16-bit weights' tiles are in large clusters, else in small
/// ones; "pairs" chooses everything but large clusters.
Card this_card() {
  const char* given = std::getenv("NEUROS_CUDA_PATH");
  const std::string_view path = given == nullptr ? "" : given;
  Card card{.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                                  attribute(cudaDevAttrComputeCapabilityMinor),
            .tiling = {.multiprocessors = attribute(cudaDevAttrMultiProcessorCount)}};
  card.wgmma = card.compute_capability == 90 && path != "generic";
  if (card.wgmma) card.tiling.large_clusters = large_clusters();
  const bool large = path.ends_with("x4");
  const std::string_view tiles = path.substr(0, path.size() - (large ? 2 : 0));
  for (const int width : {64, 128, 256}) {
    if (tiles == "wgmma" + std::to_string(width)) card.tiling.width = width;
  }
  card.tiling.mixed = tiles == "wgmma256+128";
  if (card.tiling.mixed) card.tiling.width = kWgmmaTokensMax;
  if (card.tiling.width > 0 || path == "pairs") {
    card.tiling.cluster = large ? kLargeCluster : wgmma_cluster(kWgmmaTokensMax);
  }
  return card;
}

/// By wgmma, of quantised weights.
template <DType kType>
Kernel quantised_kernel(int width) {
  switch (width) {
    case 256:
      return {.launch = launch_wgmma<kType, 256>, .tokens = 256};
    case 128:
      return {.launch = launch_wgmma<kType, 128>, .tokens = 128};
    default:
      return {.launch = launch_wgmma<kType, 64>, .tokens = 64};
  }
}

/// By wgmma, of 16-bit weights.
template <DType kType>
Kernel halves_kernel(const Tiling& tiling) {
  constexpr int kWide = kWgmmaTokensMax, kSmallCluster = wgmma_cluster(kWide);
  const bool tall = tiling.tall_tiles > 0;
  Kernel kernel{.rows = kTileRows / 2, .tokens = tiling.width};
  if (tiling.width == 64) {
    kernel.launch = launch_wgmma_halves<kType, kLowStrips, 64, 1>;
  } else if (tiling.width == 128) {
    kernel.launch = launch_wgmma_halves<kType, kLowStrips, 128, 1>;
  } else if (tiling.cluster == kLargeCluster) {
    kernel.launch = tall ? launch_wgmma_halves<kType, kTallStrips, kWide, kLargeCluster>
                         : launch_wgmma_halves<kType, kLowStrips, kWide, kLargeCluster>;
  } else {
    kernel.launch = tall ? launch_wgmma_halves<kType, kTallStrips, kWide, kSmallCluster>
                         : launch_wgmma_halves<kType, kLowStrips, kWide, kSmallCluster>;
  }
  return kernel;
}

template <DType kType>
Kernel tensor_kernel(const Card& card, const Tiling& tiling) {
  if (!card.wgmma) return {.launch = launch_mma<kType>, .tokens = kMmaTokens};
  if constexpr (fragment_format(kType).block == 0) {
    return halves_kernel<kType>(tiling);
  } else {
    return quantised_kernel<kType>(tiling.width);
  }
}

Kernel choose(const Card& card, const Products& products, const Tiling& tiling) {
  constexpr Kernel kFma{.rows = kFmaRows, .tokens = kFmaTokens};
  Kernel kernel = kFma;
  switch (products.dtype) {
    case DType::kF32:
      kernel.launch = launch_fma<DType::kF32>;
      return kernel;
    case DType::kBF16:
      if (card.compute_capability >= 80) return tensor_kernel<DType::kBF16>(card, tiling);
      kernel.launch = launch_fma<DType::kBF16>;
      return kernel;
#define NEUROS_TENSOR_KERNEL(type) \
  case DType::type:                \
    return tensor_kernel<DType::type>(card, tiling)
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
      return tensor_kernel<DType::kTQ2_0>(card, tiling);
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

/// Where prepared activations lie in the scratch: the tokens' factors, if they have some, then the
/// activations and what tiles may read after them.
struct Layout {
  bool has_factors;
  int64_t tokens, cols, factor_bytes, bytes;

  Layout(Prepared kind, int64_t source_tokens, int64_t source_cols)
      : has_factors(kind == Prepared::kF16),
        tokens(round_up(source_tokens, kPadTokens)),
        cols(round_up(source_cols, kind == Prepared::kF32 ? 4 : kPadColumns)),
        factor_bytes(has_factors ? round_up(tokens * 4, 256) : 0),
        bytes(factor_bytes + tokens * cols * (kind == Prepared::kF32 ? 4 : 2) + kTileBytesMax) {}

  float* factors(std::span<std::byte> scratch) const {
    return has_factors ? reinterpret_cast<float*>(scratch.data()) : nullptr;
  }
  std::byte* activations(std::span<std::byte> scratch) const {
    return scratch.data() + factor_bytes;
  }
};

void prepare(const OpContext& context, Prepared kind, const ActivationSource& source,
             std::span<std::byte> scratch) {
  const Layout layout(kind, source.tokens, source.cols);
  CHECK(layout.bytes <= std::ssize(scratch), "scratch of products");
  prepare_activations(context, kind,
                      {.source = source,
                       .padded_tokens = layout.tokens,
                       .padded_cols = layout.cols,
                       .out = layout.activations(scratch),
                       .token_factors = layout.factors(scratch)});
}

Tiling tiling_for(const OpContext& context, TilingCard card, const Products& products,
                  const ActivationSource& source) {
  card.chosen = chosen_or(context, products.key(source), 0);
  return choose_tiling(card, {.dtype = products.dtype,
                              .cols = source.cols,
                              .tokens = source.tokens,
                              .row_tiles = products.row_tiles(kTileRows),
                              .strips = products.row_tiles(kTileRows / 2)});
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

void multiply(const OpContext& context, const Card& card, Prepared kind, const Products& products,
              const ActivationSource& source, std::span<std::byte> scratch) {
  const Tiling tiling = tiling_for(context, card.tiling, products, source);
  const Kernel kernel = choose(card, products, tiling);
  const Layout layout(kind, source.tokens, source.cols);
  ProductArgs args{.tasks = {},
                   .swiglu = products.swiglu(),
                   .wide_row_tiles = static_cast<int>(tiling.wide_row_tiles),
                   .wide_tiles = static_cast<int>(tiling.wide_tiles),
                   .tiles = static_cast<int>(tiling.tiles),
                   .tall_row_groups = static_cast<int>(tiling.tall_row_groups),
                   .tall_tiles = static_cast<int>(tiling.tall_tiles),
                   .clusters = static_cast<int>(tiling.clusters),
                   .tokens = static_cast<int>(source.tokens),
                   .padded_tokens = static_cast<int>(layout.tokens),
                   .token_tiles = static_cast<int>((source.tokens - 1) / kernel.tokens + 1),
                   .cols = static_cast<int>(source.cols),
                   .padded_cols = static_cast<int>(layout.cols),
                   .panel_bytes = panel_bytes(products.dtype, source.cols),
                   .activations = layout.activations(scratch),
                   .token_factors = layout.factors(scratch),
                   .multiprocessors = card.tiling.multiprocessors,
                   .heads = products.heads,
                   .bf16_pages = products.bf16_pages};
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

/// Whether products can finish the heads that `view` describes (prefill_heads.cuh).
bool finishes(const Card& card, std::span<const LinearTask, 3> tasks, const HeadsView& view,
              DType pages) {
  const DType dtype = tasks[0].weight.dtype;
  const bool halves = dtype == DType::kF16 || dtype == DType::kBF16;
  for (const LinearTask& task : tasks) {
    if (task.weight.dtype != dtype || !is_aligned(task.bias)) return false;
  }
  const bool turns_neighbours = view.rope == nullptr || view.interleaved;
  return card.wgmma && halves && (pages == DType::kF16 || pages == DType::kBF16) &&
         view.q_norm == nullptr && view.k_norm == nullptr && turns_neighbours &&
         view.head_dim % 16 == 0 && view.rope_dims % 4 == 0 && is_aligned(view.rope) &&
         is_aligned(view.q);
}

ProductTask product_of(const LinearTask& task) {
  return {.weight = task.weight.data,
          .bias = task.bias,
          .residual = task.residual,
          .y = task.y,
          .rows = static_cast<int>(task.weight.rows)};
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
using base::DType;

void prefill_tasks(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask> tasks, std::span<std::byte> scratch) {
  CHECK(tasks.size() <= kTasksMax);
  std::array<ProductTask, kTasksMax> all;
  std::array<DType, kTasksMax> dtypes{};
  for (size_t i = 0; i < tasks.size(); ++i) {
    const LinearTask& task = tasks[i];
    CHECK(task.weight.cols == source.cols);
    dtypes[i] = task.weight.dtype;
    all[i] = product_of(task);
  }
  multiply_all(context, source, {all.data(), tasks.size()}, dtypes, scratch);
}

bool prefill_heads(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask, 3> tasks, const HeadsView& view, DType pages,
                   std::span<std::byte> scratch) {
  const Card card = this_card();
  if (!finishes(card, tasks, view, pages)) return false;
  Products products{
      .dtype = tasks[0].weight.dtype, .heads = view, .bf16_pages = pages == DType::kBF16};
  if (view.rope == nullptr) products.heads.rope_dims = 0;
  for (const LinearTask& task : tasks) {
    CHECK(task.weight.cols == source.cols && task.residual == nullptr);
    products.add(product_of(task));
  }
  products.tasks[0].role = HeadRole::kQuery;
  products.tasks[0].y = view.q;
  products.tasks[1].role = HeadRole::kKey;
  products.tasks[2].role = HeadRole::kValue;
  const Prepared kind = prepared_kind(card, products.dtype);
  prepare(context, kind, source, scratch);
  multiply(context, card, kind, products, source, scratch);
  return true;
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

PreparedRows prepared_rows(const PackedMatrix& weight, int64_t tokens,
                           std::span<std::byte> scratch) {
  const bool fits = weight.dtype == DType::kBF16 && weight.cols % kBlockColumns == 0;
  if (!fits || !this_card().wgmma) return {};
  const Layout layout(Prepared::kBF16, tokens, weight.cols);
  CHECK(layout.bytes <= std::ssize(scratch), "scratch of products");
  return {.data = layout.activations(scratch), .padded_tokens = layout.tokens};
}

void prefill_prepared(const OpContext& context, int64_t tokens, const LinearTask& task,
                      std::span<std::byte> scratch) {
  Products products{.dtype = task.weight.dtype};
  products.add(product_of(task));
  const ActivationSource source{.tokens = tokens, .cols = task.weight.cols};
  multiply(context, this_card(), Prepared::kBF16, products, source, scratch);
}

bool prefill_feed_forward(const OpContext& context, const ActivationSource& source,
                          const PackedMatrix& gate, const PackedMatrix& up, const LinearTask& down,
                          std::span<std::byte> scratch) {
  constexpr Prepared kKind = Prepared::kBF16;
  if (gate.dtype != DType::kBF16 || up.dtype != DType::kBF16) return false;
  CHECK(gate.rows == up.rows && gate.cols == source.cols && up.cols == source.cols);
  CHECK(down.weight.cols == gate.rows);
  const Layout layout(kKind, source.tokens, source.cols);
  const std::span<std::byte> rest = scratch.subspan(static_cast<size_t>(layout.bytes));
  const PreparedRows inner = prepared_rows(down.weight, source.tokens, rest);
  if (inner.data == nullptr) return false;
  Products products{.dtype = gate.dtype};
  products.add({.weight = gate.data,
                .up = up.data,
                .prepared = inner.data,
                .rows = static_cast<int>(gate.rows)});
  prepare(context, kKind, source, scratch);
  multiply(context, this_card(), kKind, products, source, scratch);
  prefill_prepared(context, source.tokens, down, rest);
  return true;
}

int64_t prefill_scratch_bytes(const OpLimits& limits) {
  // prefill_feed_forward() has two of them.
  int64_t bytes = 2 * Layout(Prepared::kBF16, limits.tokens, limits.cols).bytes;
  for (const Prepared kind : {Prepared::kF16, Prepared::kBF16, Prepared::kF32}) {
    bytes = std::max(bytes, Layout(kind, limits.tokens, limits.cols).bytes);
  }
  return bytes;
}

}  // namespace neuros::kernels::cuda
