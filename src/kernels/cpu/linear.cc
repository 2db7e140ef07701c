#include "kernels/cpu/linear.h"

#include "base/check.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/panel_layout.h"
#include "kernels/cpu/prepare.h"

#include <algorithm>
#include <array>
#include <bit>

namespace neuros::kernels::cpu {
namespace {

/// Weights one worker takes at a time: long enough to stream, short enough to balance.
constexpr int64_t kGrainBytes = 128 << 10;
/// Activations of this many bytes stay in a core's second-level cache while panels pass over them.
constexpr int64_t kBlockBytes = 384 << 10;
/// Tokens whose sums for a pair of panels are kept at once in the block kernels.
constexpr int64_t kPassTokens = 512;
constexpr int64_t kPairRows = 2 * kPanelRows;
constexpr int kTasksMax = 8;

base::ThreadPool& workers(const OpContext& context) {
  base::ThreadPool* pool = context.stream.cpu_workers();
  CHECK(pool != nullptr, "the CPU kernels need a CPU stream");
  return *pool;
}

struct alignas(64) TileBuffer {
  float values[kTilePanels * kGroupTokensMax * kPanelRows];
};

/// The sums of two panels for a pass of tokens, group after group: [tokens, 32].
struct alignas(64) PassBuffer {
  float values[kPassTokens * kPairRows];
};

/// A matrix and the activations prepared for it.
class Product {
 public:
  Product() = default;
  Product(const EngineTable& engine, const PackedMatrix& weight, const Activations& activations)
      : weight_(weight),
        activations_(activations),
        tiles_(engine.tiles[static_cast<size_t>(weight.dtype)].data()),
        decode_(engine.decode[static_cast<size_t>(weight.dtype)]),
        block_(engine.blocks[static_cast<size_t>(weight.dtype)]),
        block_columns_(engine.block_columns[static_cast<size_t>(activations.kind)]),
        panel_bytes_(panel_bytes(weight.dtype, weight.cols)) {}

  const Activations& activations() const { return activations_; }
  int64_t panels() const { return panel_count(weight_.rows); }
  int64_t panel_bytes_each() const { return panel_bytes_; }
  int64_t rows() const { return weight_.rows; }
  /// Rows of panel p that exist.
  int rows_of(int64_t p) const {
    return static_cast<int>(std::clamp<int64_t>(weight_.rows - p * kPanelRows, 0, kPanelRows));
  }

  /// Panels [first, first + panels) times the group of `size` tokens from `token`:
  /// out [panels, size, 16].
  void tile(int64_t first, int panels, int64_t token, int size, float* out) const {
    tiles_[std::countr_zero(static_cast<unsigned>(size))](
        {.panel = panel(first),
         .panel_bytes = panel_bytes_,
         .panels = panels,
         .cols = weight_.cols,
         .group = activations_.group(token),
         .out = out});
  }

  /// Panels first and first + 1 times the full groups of tokens [begin, end): sums [tokens, 32].
  void pass(int64_t first, int64_t begin, int64_t end, float* sums) const {
    DecodedPair pair;
    const int64_t second = std::min(first + 1, panels() - 1);
    for (int64_t column = 0; column < weight_.cols; column += block_columns_) {
      const auto columns = static_cast<int>(std::min(weight_.cols - column, block_columns_));
      decode_({.panels = {panel(first), panel(second)},
               .cols = weight_.cols,
               .column = column,
               .columns = columns,
               .out = &pair});
      for (int64_t token = begin; token < end; token += activations_.groups.block_tokens) {
        block_(block_args(pair, column, columns, token, end, sums + (token - begin) * kPairRows));
      }
    }
  }

 private:
  const std::byte* panel(int64_t p) const { return weight_.data + p * panel_bytes_; }

  BlockArgs block_args(const DecodedPair& pair, int64_t column, int columns, int64_t token,
                       int64_t end, float* sums) const {
    const int64_t size = activations_.groups.block_tokens;
    const bool last = token + size >= end;
    return {.pair = &pair,
            .cols = weight_.cols,
            .column = column,
            .columns = columns,
            .group = activations_.group(token),
            .next_group = last ? 0 : size * activations_.token_bytes,
            .sums = sums};
  }

  PackedMatrix weight_;
  Activations activations_;
  const TileFn* tiles_ = nullptr;
  DecodeFn decode_ = nullptr;
  BlockFn block_ = nullptr;
  int64_t block_columns_ = 0;
  int64_t panel_bytes_ = 0;
};

/// Calls body(first panel, panels, first token, group size) for the groups from `first_token` on,
/// so that a block of activations stays in cache while all panels of the range pass over it.
template <typename Body>
void for_each_tile(const Activations& activations, int64_t first_token, int64_t begin, int64_t end,
                   const Body& body) {
  const int64_t tokens = activations.groups.tokens;
  const int64_t fitting = kBlockBytes / activations.token_bytes / kGroupTokensMax;
  const int64_t block = std::max<int64_t>(1, fitting) * kGroupTokensMax;
  for (int64_t start = first_token; start < tokens; start += block) {
    const int64_t stop = std::min(start + block, tokens);
    for (int64_t panel = begin; panel < end; panel += kTilePanels) {
      const int panels = static_cast<int>(std::min<int64_t>(kTilePanels, end - panel));
      int size = 0;
      for (int64_t token = start; token < stop; token += size) {
        size = activations.groups.size_at(token);
        body(panel, panels, token, size);
      }
    }
  }
}

/// Calls body(first panel, first token, end token) for pairs of panels and passes of full groups.
template <typename Body>
void for_each_pass(const Activations& activations, int64_t begin, int64_t end, const Body& body) {
  const int64_t tokens = activations.groups.in_blocks();
  if (tokens == 0) return;
  const int64_t size = activations.groups.block_tokens;
  const int64_t pass = kPassTokens / size * size;
  for (int64_t start = 0; start < tokens; start += pass) {
    for (int64_t panel = begin; panel < end; panel += 2) {
      body(panel, start, std::min(start + pass, tokens));
    }
  }
}

/// y of one panel for some tokens, from its finished sums.
void finish_panel(const EngineTable& engine, const LinearTask& task, const Product& product,
                  int64_t panel, int64_t token, int tokens, const float* sums, int64_t stride) {
  const int64_t row = panel * kPanelRows;
  const int64_t at = token * task.y_stride + row;
  engine.finish({.tile = sums,
                 .tile_stride = stride,
                 .bias = task.bias == nullptr ? nullptr : task.bias + row,
                 .residual = task.residual == nullptr ? nullptr : task.residual + at,
                 .y = task.y + at,
                 .stride = task.y_stride,
                 .tokens = tokens,
                 .rows = product.rows_of(panel)});
}

/// The two panels of a pass.
void finish_pass(const EngineTable& engine, const LinearTask& task, const Product& product,
                 int64_t panel, int64_t token, int64_t end, const float* sums) {
  const int tokens = static_cast<int>(end - token);
  finish_panel(engine, task, product, panel, token, tokens, sums, kPairRows);
  if (panel + 1 < product.panels()) {
    finish_panel(engine, task, product, panel + 1, token, tokens, sums + kPanelRows, kPairRows);
  }
}

/// Panels [begin, end) of one task, for all tokens.
void multiply_range(const EngineTable& engine, const LinearTask& task, const Product& product,
                    int64_t begin, int64_t end) {
  const Activations& activations = product.activations();
  for_each_pass(activations, begin, end, [&](int64_t panel, int64_t token, int64_t stop) {
    PassBuffer sums;
    product.pass(panel, token, stop, sums.values);
    finish_pass(engine, task, product, panel, token, stop, sums.values);
  });
  for_each_tile(activations, activations.groups.in_blocks(), begin, end,
                [&](int64_t first, int panels, int64_t token, int size) {
                  TileBuffer tile;
                  product.tile(first, panels, token, size, tile.values);
                  for (int p = 0; p < panels; ++p) {
                    finish_panel(engine, task, product, first + p, token, size,
                                 tile.values + p * size * kPanelRows, kPanelRows);
                  }
                });
}

/// The same for silu(gate) * up; `task` says where it goes.
void swiglu_range(const EngineTable& engine, const LinearTask& task, const Product& gate,
                  const Product& up, int64_t begin, int64_t end) {
  const Activations& activations = gate.activations();
  for_each_pass(activations, begin, end, [&](int64_t panel, int64_t token, int64_t stop) {
    PassBuffer gates, ups;
    gate.pass(panel, token, stop, gates.values);
    up.pass(panel, token, stop, ups.values);
    engine.swiglu(gates.values, ups.values, (stop - token) * kPairRows);
    finish_pass(engine, task, gate, panel, token, stop, gates.values);
  });
  for_each_tile(activations, activations.groups.in_blocks(), begin, end,
                [&](int64_t first, int panels, int64_t token, int size) {
                  TileBuffer gates, ups;
                  gate.tile(first, panels, token, size, gates.values);
                  up.tile(first, panels, token, size, ups.values);
                  engine.swiglu(gates.values, ups.values, panels * size * kPanelRows);
                  for (int p = 0; p < panels; ++p) {
                    finish_panel(engine, task, gate, first + p, token, size,
                                 gates.values + p * size * kPanelRows, kPanelRows);
                  }
                });
}

/// Panels a worker takes at a time, a multiple of kTilePanels.
int64_t grain_for(const base::ThreadPool& pool, int64_t panels, int64_t bytes) {
  const int64_t balanced = panels / (4 * pool.size());
  const int64_t streaming = (kGrainBytes + bytes - 1) / bytes;
  return round_up(std::max<int64_t>(1, std::min(balanced, streaming)), kTilePanels);
}

/// All tasks in one parallel section.
void multiply(const EngineTable& engine, base::ThreadPool& pool, const Activations& activations,
              std::span<const LinearTask> tasks) {
  std::array<Product, kTasksMax> products;
  std::array<int64_t, kTasksMax + 1> starts{};  // in units of kTilePanels panels
  int64_t bytes = 0;
  for (size_t i = 0; i < tasks.size(); ++i) {
    products[i] = Product(engine, tasks[i].weight, activations);
    starts[i + 1] = starts[i] + (products[i].panels() + kTilePanels - 1) / kTilePanels;
    bytes = std::max(bytes, products[i].panel_bytes_each());
  }
  const int64_t units = starts[tasks.size()];
  const int64_t grain = grain_for(pool, units * kTilePanels, bytes) / kTilePanels;
  pool.parallel_for(units, grain, [&](int64_t begin, int64_t end, int) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      const int64_t first = std::max(begin, starts[i]) - starts[i];
      const int64_t last = std::min(end, starts[i + 1]) - starts[i];
      if (first >= last) continue;
      multiply_range(engine, tasks[i], products[i], first * kTilePanels,
                     std::min(last * kTilePanels, products[i].panels()));
    }
  });
}

}  // namespace

void linear_tasks(Engine engine_id, const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks) {
  CHECK(tasks.size() <= kTasksMax);
  const EngineTable& engine = engine_table(engine_id);
  base::ThreadPool& pool = workers(context);
  for (int k = 0; k < kActivationKinds; ++k) {
    const auto kind = static_cast<ActivationKind>(k);
    std::array<LinearTask, kTasksMax> same;
    size_t count = 0;
    for (const LinearTask& task : tasks) {
      CHECK(task.weight.cols == source.cols);
      if (engine.kind(task.weight.dtype) == kind) same[count++] = task;
    }
    if (count == 0) continue;
    Preparer preparer(engine, pool, source, context.scratch);
    multiply(engine, pool, preparer.prepare(kind), {same.data(), count});
  }
}

void linear_swiglu(Engine engine_id, const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out) {
  CHECK(gate.rows == up.rows && gate.cols == source.cols && up.cols == source.cols);
  const EngineTable& engine = engine_table(engine_id);
  base::ThreadPool& pool = workers(context);
  Preparer preparer(engine, pool, source, context.scratch);
  const ActivationKind gate_kind = engine.kind(gate.dtype), up_kind = engine.kind(up.dtype);
  TokenGroups groups = engine.groups(gate_kind, source.tokens);
  if (up_kind != gate_kind) groups.block_tokens = 0;  // the kinds may like different groups
  const Activations for_gate = preparer.prepare(gate_kind, groups);
  const Activations for_up =
      up_kind == gate_kind ? for_gate : preparer.prepare(up_kind, groups);
  const Product gates(engine, gate, for_gate), ups(engine, up, for_up);
  const LinearTask task{.weight = gate, .y = out, .y_stride = gate.rows};
  const int64_t grain =
      grain_for(pool, gates.panels(), gates.panel_bytes_each() + ups.panel_bytes_each());
  pool.parallel_for(gates.panels(), grain, [&](int64_t begin, int64_t end, int) {
    swiglu_range(engine, task, gates, ups, begin, end);
  });
}

int64_t linear_scratch_bytes(const OpLimits& limits) {
  return Preparer::scratch_bytes(limits.workers, limits.tokens, limits.cols);
}

}  // namespace neuros::kernels::cpu
