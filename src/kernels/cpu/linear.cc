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
constexpr int64_t kGrainBytes = 256 << 10;
/// Activations of this many bytes stay in a core's second-level cache while panels pass over them.
constexpr int64_t kBlockBytes = 384 << 10;
constexpr int64_t kPairRows = 2 * kPanelRows;
/// A pass of the block kernels: this many tokens and pairs of panels, whose sums stay in the
/// second-level cache beside the activations of one block of columns.
constexpr int64_t kPassTokens = 512;
constexpr int64_t kPassPairs = 4;
constexpr int kTasksMax = 8;

base::ThreadPool& workers(const OpContext& context) {
  base::ThreadPool* pool = context.stream.cpu_workers();
  CHECK(pool != nullptr, "the CPU kernels need a CPU stream");
  return *pool;
}

struct alignas(64) TileBuffer {
  float values[kTilePanels * kGroupTokensMax * kPanelRows];
};

/// Sums of a pass for one worker: [pairs][tokens, 32].
class PassSums {
 public:
  PassSums() = default;
  explicit PassSums(int64_t tokens) : pair_floats_(std::min(tokens, kPassTokens) * kPairRows) {}
  int64_t bytes() const { return kPassPairs * pair_floats_ * static_cast<int64_t>(sizeof(float)); }
  PassSums at(std::byte* memory, int worker) const {
    PassSums placed = *this;
    placed.data_ = reinterpret_cast<float*>(memory + worker * bytes());
    return placed;
  }
  float* pair(int64_t index) const { return data_ + index * pair_floats_; }
  /// The pairs from `index` on.
  PassSums from(int64_t index) const {
    PassSums rest = *this;
    rest.data_ = pair(index);
    return rest;
  }

 private:
  int64_t pair_floats_ = 0;
  float* data_ = nullptr;
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
        panel_bytes_(panel_bytes(weight.dtype, weight.cols)),
        header_bytes_(panel_header_bytes(panel_format(weight.dtype), weight.cols)) {}

  const Activations& activations() const { return activations_; }
  int64_t panels() const { return panel_count(weight_.rows); }
  int64_t panel_bytes_each() const { return panel_bytes_; }
  /// Panels [first, first + panels) times the group of `size` tokens from `token`:
  /// out [panels, size, 16].
  void tile(int64_t first, int panels, int64_t token, int size, float* out) const {
    tiles_[std::countr_zero(static_cast<unsigned>(size))]({.panel = panel(first),
                                                           .panel_bytes = panel_bytes_,
                                                           .panels = panels,
                                                           .cols = weight_.cols,
                                                           .group = activations_.group(token),
                                                           .out = out});
  }

  /// All columns of panels [begin, end), at most kPassPairs pairs, times the full groups of tokens
  /// [token, stop): sums of each pair [tokens, 32].
  void pass(int64_t begin, int64_t end, int64_t token, int64_t stop, const PassSums& sums) const {
    for (int64_t column = 0; column < weight_.cols; column += block_columns_) {
      for (int64_t panel = begin; panel < end; panel += 2) {
        const bool last = panel + 2 >= end;
        const Place next{last ? begin : panel + 2, last ? column + block_columns_ : column};
        block({panel, column}, next, token, stop, sums.pair((panel - begin) / 2));
      }
    }
  }

 private:
  /// A block of columns of a pair of panels.
  struct Place {
    int64_t panel, column;
  };

  /// A block times the full groups of tokens [begin, end), added to sums [tokens, 32].
  void block(const Place& place, const Place& next, int64_t begin, int64_t end, float* sums) const {
    DecodedPair pair;
    const auto columns = static_cast<int>(std::min(weight_.cols - place.column, block_columns_));
    decode_({.panels = {panel(place.panel), panel(second_of(place))},
             .cols = weight_.cols,
             .column = place.column,
             .columns = columns,
             .out = &pair});
    const int64_t size = activations_.groups.block_tokens;
    const int64_t groups = (end - begin) / size;
    const int64_t next_bytes =
        weights_at(next.panel, next.column + block_columns_) - weights_at(next.panel, next.column);
    block_(
        {.pair = &pair,
         .cols = weight_.cols,
         .column = place.column,
         .columns = columns,
         .groups = static_cast<int>(groups),
         .group = activations_.group(begin),
         .group_bytes = size * activations_.token_bytes,
         .sums = sums,
         .ahead = {weights_at(next.panel, next.column), weights_at(second_of(next), next.column)},
         .ahead_step = round_up(next_bytes / groups, 64)});
  }

  /// Of a matrix with an odd number of panels, the last one is taken twice.
  int64_t second_of(const Place& place) const { return std::min(place.panel + 1, panels() - 1); }
  /// Where a panel's weights of the columns from `column` on are, nearly.
  const std::byte* weights_at(int64_t p, int64_t column) const {
    const int64_t all = panel_bytes_ - header_bytes_;
    return panel(p) + header_bytes_ + all * std::min(column, weight_.cols) / weight_.cols;
  }
  const std::byte* panel(int64_t p) const { return weight_.data + p * panel_bytes_; }

  PackedMatrix weight_;
  Activations activations_;
  const TileFn* tiles_ = nullptr;
  DecodeFn decode_ = nullptr;
  BlockFn block_ = nullptr;
  int64_t block_columns_ = 0;
  int64_t panel_bytes_ = 0;
  int64_t header_bytes_ = 0;
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

/// Calls body(first panel, end panel, first token, end token) for passes of the block kernels, of
/// at most `pairs` pairs of panels.
template <typename Body>
void for_each_pass(const Activations& activations, int64_t begin, int64_t end, int64_t pairs,
                   const Body& body) {
  const int64_t tokens = activations.groups.in_blocks();
  if (tokens == 0) return;
  const int64_t size = activations.groups.block_tokens;
  const int64_t pass = kPassTokens / size * size;
  for (int64_t start = 0; start < tokens; start += pass) {
    for (int64_t panel = begin; panel < end; panel += 2 * pairs) {
      body(panel, std::min(panel + 2 * pairs, end), start, std::min(start + pass, tokens));
    }
  }
}

/// y of panels [begin, end) for some tokens; `args` says where their sums are.
void finish(const EngineTable& engine, const LinearTask& task, int64_t begin, int64_t end,
            int64_t token, int64_t tokens, FinishArgs args) {
  const int64_t row = begin * kPanelRows;
  const int64_t at = token * task.y_stride + row;
  args.bias = task.bias == nullptr ? nullptr : task.bias + row;
  args.residual = task.residual == nullptr ? nullptr : task.residual + at;
  args.y = task.y + at;
  args.y_stride = task.y_stride;
  args.tokens = static_cast<int>(tokens);
  args.rows = std::min(end * kPanelRows, task.weight.rows) - row;
  engine.finish(args);
}

/// Where a pass has its sums.
FinishArgs pass_layout(const PassSums& sums) {
  return {.sums = sums.pair(0),
          .pair_stride = sums.pair(1) - sums.pair(0),
          .panel_stride = kPanelRows,
          .token_stride = kPairRows};
}

/// Where a tile has them: [panels][size, 16].
FinishArgs tile_layout(const float* tile, int size) {
  return {.sums = tile,
          .pair_stride = size * kPairRows,
          .panel_stride = size * kPanelRows,
          .token_stride = kPanelRows};
}

/// Panels [begin, end) of one task, for all tokens.
void multiply_range(const EngineTable& engine, const LinearTask& task, const Product& product,
                    int64_t begin, int64_t end, const PassSums& sums) {
  const Activations& activations = product.activations();
  for_each_pass(activations, begin, end, kPassPairs,
                [&](int64_t first, int64_t last, int64_t token, int64_t stop) {
                  product.pass(first, last, token, stop, sums);
                  finish(engine, task, first, last, token, stop - token, pass_layout(sums));
                });
  for_each_tile(activations, activations.groups.in_blocks(), begin, end,
                [&](int64_t first, int panels, int64_t token, int size) {
                  TileBuffer tile;
                  product.tile(first, panels, token, size, tile.values);
                  finish(engine, task, first, first + panels, token, size,
                         tile_layout(tile.values, size));
                });
}

/// The same for silu(gate) * up; `task` says where it goes. Half of the sums are the gate's.
void swiglu_range(const EngineTable& engine, const LinearTask& task, const Product& gate,
                  const Product& up, int64_t begin, int64_t end, const PassSums& sums) {
  constexpr int64_t pairs = kPassPairs / 2;
  const Activations& activations = gate.activations();
  for_each_pass(activations, begin, end, pairs,
                [&](int64_t first, int64_t last, int64_t token, int64_t stop) {
                  const PassSums up_sums = sums.from(pairs);
                  gate.pass(first, last, token, stop, sums);
                  up.pass(first, last, token, stop, up_sums);
                  for (int64_t pair = 0; pair < (last - first + 1) / 2; ++pair) {
                    engine.swiglu(sums.pair(pair), up_sums.pair(pair), (stop - token) * kPairRows);
                  }
                  finish(engine, task, first, last, token, stop - token, pass_layout(sums));
                });
  for_each_tile(activations, activations.groups.in_blocks(), begin, end,
                [&](int64_t first, int panels, int64_t token, int size) {
                  TileBuffer gates, ups;
                  gate.tile(first, panels, token, size, gates.values);
                  up.tile(first, panels, token, size, ups.values);
                  engine.swiglu(gates.values, ups.values, panels * size * kPanelRows);
                  finish(engine, task, first, first + panels, token, size,
                         tile_layout(gates.values, size));
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
              std::span<const LinearTask> tasks, std::byte* sums_memory) {
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
  const PassSums sums(activations.groups.tokens);
  pool.parallel_for(units, grain, [&](int64_t begin, int64_t end, int worker) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      const int64_t first = std::max(begin, starts[i]) - starts[i];
      const int64_t last = std::min(end, starts[i + 1]) - starts[i];
      if (first >= last) continue;
      multiply_range(engine, tasks[i], products[i], first * kTilePanels,
                     std::min(last * kTilePanels, products[i].panels()),
                     sums.at(sums_memory, worker));
    }
  });
}

struct Scratch {
  std::byte* sums;  ///< PassSums of all workers
  std::span<std::byte> rest;
};

Scratch split_scratch(const OpContext& context, const ActivationSource& source,
                      const base::ThreadPool& pool) {
  const int64_t bytes = pool.size() * PassSums(source.tokens).bytes();
  CHECK(bytes <= std::ssize(context.scratch), "scratch is too small");
  return {context.scratch.data(), context.scratch.subspan(static_cast<size_t>(bytes))};
}

}  // namespace

void linear_tasks(Engine engine, const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks) {
  linear_tasks_on(engine_table(engine), context, source, tasks);
}

void linear_tasks_on(const EngineTable& engine, const OpContext& context,
                     const ActivationSource& source, std::span<const LinearTask> tasks) {
  CHECK(tasks.size() <= kTasksMax);
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
    const Scratch scratch = split_scratch(context, source, pool);
    Preparer preparer(engine, pool, source, scratch.rest);
    multiply(engine, pool, preparer.prepare(kind), {same.data(), count}, scratch.sums);
  }
}

void linear_swiglu(Engine engine_id, const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out) {
  CHECK(gate.rows == up.rows && gate.cols == source.cols && up.cols == source.cols);
  const EngineTable& engine = engine_table(engine_id);
  base::ThreadPool& pool = workers(context);
  const Scratch scratch = split_scratch(context, source, pool);
  Preparer preparer(engine, pool, source, scratch.rest);
  const ActivationKind gate_kind = engine.kind(gate.dtype), up_kind = engine.kind(up.dtype);
  TokenGroups groups = engine.groups(gate_kind, source.tokens);
  if (up_kind != gate_kind) groups.block_tokens = 0;  // the kinds may like different groups
  const Activations for_gate = preparer.prepare(gate_kind, groups);
  const Activations for_up = up_kind == gate_kind ? for_gate : preparer.prepare(up_kind, groups);
  const Product gates(engine, gate, for_gate), ups(engine, up, for_up);
  const LinearTask task{.weight = gate, .y = out, .y_stride = gate.rows};
  const int64_t grain =
      grain_for(pool, gates.panels(), gates.panel_bytes_each() + ups.panel_bytes_each());
  const PassSums sums(source.tokens);
  pool.parallel_for(gates.panels(), grain, [&](int64_t begin, int64_t end, int worker) {
    swiglu_range(engine, task, gates, ups, begin, end, sums.at(scratch.sums, worker));
  });
}

int64_t linear_scratch_bytes(const OpLimits& limits) {
  return limits.workers * PassSums(limits.tokens).bytes() +
         Preparer::scratch_bytes(limits.workers, limits.tokens, limits.cols);
}

}  // namespace neuros::kernels::cpu
