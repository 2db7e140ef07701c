#include "kernels/cpu/linear.h"

#include "base/check.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/panel_layout.h"

#include <algorithm>
#include <array>
#include <bit>

namespace neuros::kernels::cpu {
namespace {

/// Activations of this many bytes stay in a core's second-level cache beside the weights.
constexpr int64_t kBlockBytes = 384 << 10;
/// Weights one worker takes at a time in decode: long enough to stream, short enough to balance.
constexpr int64_t kGrainBytes = 128 << 10;
constexpr int kTasksMax = 8;

/// Prepared activations of one kind.
struct Activations {
  const std::byte* data = nullptr;
  int64_t token_bytes = 0;
  int64_t tokens = 0;
  int64_t cols = 0;
};

struct Scratch {
  std::byte* rows;         ///< one normalised row for each worker
  std::byte* activations;  ///< up to two kinds of prepared activations
};

int64_t row_bytes(int64_t cols) { return round_up(cols * static_cast<int64_t>(sizeof(float)), 64); }

int64_t activation_bytes(ActivationKind kind, int64_t tokens, int64_t cols) {
  return round_up(tokens * activation_token_bytes(kind, cols), 64);
}

base::ThreadPool& workers(const OpContext& context) {
  base::ThreadPool* pool = context.stream.cpu_workers();
  CHECK(pool != nullptr, "the CPU kernels need a CPU stream");
  return *pool;
}

class Preparer {
 public:
  Preparer(const EngineTable& engine, const ActivationSource& source, std::byte* rows)
      : engine_(engine), source_(source), rows_(rows) {}

  Activations prepare(base::ThreadPool& pool, ActivationKind kind, std::byte* out) const {
    const Activations made{out, activation_token_bytes(kind, source_.cols), source_.tokens,
                           source_.cols};
    const PrepareFn function = engine_.prepare[static_cast<size_t>(kind)];
    pool.parallel_for(source_.tokens, kGroupTokensMax,
                      [&](int64_t begin, int64_t end, int worker) {
                        prepare_range(function, made, out, begin, end, worker);
                      });
    return made;
  }

 private:
  void prepare_range(PrepareFn function, const Activations& made, std::byte* out, int64_t begin,
                     int64_t end, int worker) const {
    int size = 0;
    for (int64_t first = begin; first < end; first += size) {
      size = group_tokens(first, made.tokens, engine_.group_tokens_max);
      for (int slot = 0; slot < size; ++slot) {
        function({.row = row(first + slot, worker),
                  .cols = made.cols,
                  .slot = slot,
                  .tokens = size,
                  .group = out + first * made.token_bytes});
      }
    }
  }

  const float* row(int64_t token, int worker) const {
    const int64_t index =
        source_.rows.empty() ? token : source_.rows[static_cast<size_t>(token)];
    const float* x = source_.x + index * source_.cols;
    if (source_.norm_weight == nullptr) return x;
    auto* normalised = reinterpret_cast<float*>(rows_ + worker * row_bytes(source_.cols));
    engine_.normalise(x, source_.norm_weight, source_.epsilon, source_.cols, normalised);
    return normalised;
  }

  const EngineTable& engine_;
  const ActivationSource& source_;
  std::byte* rows_;
};

/// A matrix, ready for tiles of its panels.
class Panels {
 public:
  Panels() = default;
  Panels(const EngineTable& engine, const PackedMatrix& weight, const Activations& activations)
      : weight_(weight),
        tiles_(engine.tiles[static_cast<size_t>(weight.dtype)].data()),
        activations_(activations),
        panel_bytes_(panel_bytes(weight.dtype, weight.cols)) {}

  int64_t count() const { return panel_count(weight_.rows); }
  int64_t bytes() const { return panel_bytes_; }
  int64_t rows() const { return weight_.rows; }
  /// Rows of panel p that exist.
  int rows_of(int64_t p) const {
    return static_cast<int>(std::min(kPanelRows, weight_.rows - p * kPanelRows));
  }
  /// Panels [first, first + panels) times the group of `size` tokens from `token`.
  void tile(int64_t first, int panels, int64_t token, int size, float* out) const {
    tiles_[std::countr_zero(static_cast<unsigned>(size))](
        {.panel = weight_.data + first * panel_bytes_,
         .panel_bytes = panel_bytes_,
         .panels = panels,
         .cols = weight_.cols,
         .group = activations_.data + token * activations_.token_bytes,
         .out = out});
  }

 private:
  PackedMatrix weight_;
  const TileFn* tiles_ = nullptr;
  Activations activations_;
  int64_t panel_bytes_ = 0;
};

struct alignas(64) TileBuffer {
  float values[kTilePanels * kGroupTokensMax * kPanelRows];
};

/// Calls body(first panel, panels, first token, group size) so that a block of activations stays in
/// cache while all panels of the range pass over it.
template <typename Body>
void for_each_tile(const EngineTable& engine, int64_t begin, int64_t end,
                   const Activations& activations, const Body& body) {
  const int64_t tokens = activations.tokens;
  const int64_t block = std::max<int64_t>(
      kGroupTokensMax, kBlockBytes / activations.token_bytes / kGroupTokensMax * kGroupTokensMax);
  for (int64_t start = 0; start < tokens; start += block) {
    const int64_t stop = std::min(start + block, tokens);
    for (int64_t panel = begin; panel < end; panel += kTilePanels) {
      const int panels = static_cast<int>(std::min<int64_t>(kTilePanels, end - panel));
      int size = 0;
      for (int64_t token = start; token < stop; token += size) {
        size = group_tokens(token, tokens, engine.group_tokens_max);
        body(panel, panels, token, size);
      }
    }
  }
}

void multiply_range(const EngineTable& engine, const LinearTask& task, const Panels& panels,
                    const Activations& activations, int64_t begin, int64_t end) {
  TileBuffer buffer;
  for_each_tile(engine, begin, end, activations,
                [&](int64_t first, int count, int64_t token, int size) {
                  panels.tile(first, count, token, size, buffer.values);
                  for (int p = 0; p < count; ++p) {
                    const int64_t row = (first + p) * kPanelRows;
                    const int64_t at = token * task.y_stride + row;
                    engine.finish({.tile = buffer.values + p * size * kPanelRows,
                                   .bias = task.bias == nullptr ? nullptr : task.bias + row,
                                   .residual = task.residual == nullptr ? nullptr
                                                                        : task.residual + at,
                                   .y = task.y + at,
                                   .stride = task.y_stride,
                                   .tokens = size,
                                   .rows = panels.rows_of(first + p)});
                  }
                });
}

/// Panels a worker takes at a time.
int64_t grain_for(const base::ThreadPool& pool, int64_t panels, int64_t bytes) {
  const int64_t balanced = panels / (4 * pool.size());
  const int64_t streaming = (kGrainBytes + bytes - 1) / bytes;
  return round_up(std::max<int64_t>(1, std::min(balanced, streaming)), kTilePanels);
}

/// All tasks, whose activations are `activations`, in one parallel section.
void multiply(const EngineTable& engine, base::ThreadPool& pool, const Activations& activations,
              std::span<const LinearTask> tasks) {
  std::array<Panels, kTasksMax> panels;
  std::array<int64_t, kTasksMax + 1> starts{};  // in units of kTilePanels panels
  int64_t bytes = 0;
  for (size_t i = 0; i < tasks.size(); ++i) {
    panels[i] = Panels(engine, tasks[i].weight, activations);
    starts[i + 1] = starts[i] + (panels[i].count() + kTilePanels - 1) / kTilePanels;
    bytes = std::max(bytes, panels[i].bytes());
  }
  const int64_t units = starts[tasks.size()];
  const int64_t grain = grain_for(pool, units * kTilePanels, bytes) / kTilePanels;
  pool.parallel_for(units, grain, [&](int64_t begin, int64_t end, int) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      const int64_t first = std::max(begin, starts[i]) - starts[i];
      const int64_t last = std::min(end, starts[i + 1]) - starts[i];
      if (first >= last) continue;
      multiply_range(engine, tasks[i], panels[i], activations, first * kTilePanels,
                     std::min(last * kTilePanels, panels[i].count()));
    }
  });
}

Scratch split_scratch(const OpContext& context, const ActivationSource& source, int workers) {
  const int64_t rows = source.norm_weight == nullptr ? 0 : workers * row_bytes(source.cols);
  return {context.scratch.data(), context.scratch.data() + rows};
}

void check_fits(const OpContext& context, const std::byte* end) {
  CHECK(end <= context.scratch.data() + context.scratch.size(), "scratch is too small");
}

}  // namespace

void linear_tasks(Engine engine_id, const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks) {
  CHECK(tasks.size() <= kTasksMax);
  const EngineTable& engine = engine_table(engine_id);
  base::ThreadPool& pool = workers(context);
  const Scratch scratch = split_scratch(context, source, pool.size());
  const Preparer preparer(engine, source, scratch.rows);
  for (int k = 0; k < kActivationKinds; ++k) {
    const auto kind = static_cast<ActivationKind>(k);
    std::array<LinearTask, kTasksMax> same;
    size_t count = 0;
    for (const LinearTask& task : tasks) {
      CHECK(task.weight.cols == source.cols);
      if (engine.kind(task.weight.dtype) == kind) same[count++] = task;
    }
    if (count == 0) continue;
    check_fits(context, scratch.activations + activation_bytes(kind, source.tokens, source.cols));
    const Activations activations = preparer.prepare(pool, kind, scratch.activations);
    multiply(engine, pool, activations, {same.data(), count});
  }
}

void linear_swiglu(Engine engine_id, const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out) {
  CHECK(gate.rows == up.rows && gate.cols == source.cols && up.cols == source.cols);
  const EngineTable& engine = engine_table(engine_id);
  base::ThreadPool& pool = workers(context);
  const Scratch scratch = split_scratch(context, source, pool.size());
  const Preparer preparer(engine, source, scratch.rows);
  const ActivationKind gate_kind = engine.kind(gate.dtype);
  const ActivationKind up_kind = engine.kind(up.dtype);
  std::byte* end = scratch.activations;
  const Activations for_gate = preparer.prepare(pool, gate_kind, end);
  end += activation_bytes(gate_kind, source.tokens, source.cols);
  Activations for_up = for_gate;
  if (up_kind != gate_kind) {
    for_up = preparer.prepare(pool, up_kind, end);
    end += activation_bytes(up_kind, source.tokens, source.cols);
  }
  check_fits(context, end);
  const Panels gates(engine, gate, for_gate);
  const Panels ups(engine, up, for_up);
  const int64_t grain = grain_for(pool, gates.count(), gates.bytes() + ups.bytes());
  pool.parallel_for(gates.count(), grain, [&](int64_t begin, int64_t end_panel, int) {
    TileBuffer gate_tile, up_tile;
    for_each_tile(engine, begin, end_panel, for_gate,
                  [&](int64_t first, int count, int64_t token, int size) {
                    gates.tile(first, count, token, size, gate_tile.values);
                    ups.tile(first, count, token, size, up_tile.values);
                    engine.swiglu(gate_tile.values, up_tile.values, count * size * kPanelRows);
                    for (int p = 0; p < count; ++p) {
                      engine.finish({.tile = gate_tile.values + p * size * kPanelRows,
                                     .y = out + token * gate.rows + (first + p) * kPanelRows,
                                     .stride = gate.rows,
                                     .tokens = size,
                                     .rows = gates.rows_of(first + p)});
                    }
                  });
  });
}

int64_t linear_scratch_bytes(const OpLimits& limits) {
  return limits.workers * row_bytes(limits.cols) +
         activation_bytes(ActivationKind::kF32, limits.tokens, limits.cols) +
         activation_bytes(ActivationKind::kBF16, limits.tokens, limits.cols);
}

}  // namespace neuros::kernels::cpu
