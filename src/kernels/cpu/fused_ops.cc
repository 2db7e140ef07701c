#include "kernels/cpu/fused_ops.h"

#include "base/check.h"
#include "base/thread_pool.h"
#include "kernels/cpu/conv1d_gelu.h"
#include "kernels/cpu/vector_ops.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace neuros::kernels::cpu {
namespace {

/// Heads of work below which another worker is not worth waking.
constexpr int64_t kHeadsGrain = 64;

base::CpuLevel level_of(Engine engine) {
  switch (engine) {
    case Engine::kGeneric:
      return base::CpuLevel::kGeneric;
    case Engine::kAvx2:
      return base::CpuLevel::kAvx2;
    default:
      return base::CpuLevel::kAvx512;
  }
}

base::ThreadPool& workers(const OpContext& context) {
  base::ThreadPool* pool = context.stream.cpu_workers();
  CHECK(pool != nullptr, "a CPU op needs a CPU stream");
  return *pool;
}

int64_t aligned(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// Scratch as one part for the matrix products and one for the op itself.
struct Parts {
  OpContext linear;
  std::byte* own;
};

Parts split(const OpContext& context, int64_t own_bytes) {
  CHECK(static_cast<int64_t>(context.scratch.size()) >= own_bytes, "scratch");
  return {{context.stream, context.scratch.subspan(static_cast<size_t>(own_bytes))},
          context.scratch.data()};
}

int64_t scratch_bytes(const OpLimits& limits) {
  const int64_t keys_values =
      2 * aligned(limits.tokens * limits.heads * limits.head_dim * int64_t{sizeof(float)});
  const int64_t worker_floats = std::max(attention_scratch_floats(limits.heads, limits.head_dim),
                                         encoder_scratch_floats(limits.head_dim));
  const int64_t attention = limits.workers * aligned(worker_floats * int64_t{sizeof(float)});
  return std::max({attention, keys_values + linear_scratch_bytes(limits),
                   conv1d_gelu_scratch_bytes(limits)}) +
         64;
}

template <Engine engine>
void embed(const OpContext& context, const EmbedArgs& args) {
  const LinearKernel kernel = linear_kernel(engine, args.table.dtype);
  const int64_t hidden = args.table.cols;
  workers(context).parallel_for(
      static_cast<int64_t>(args.ids.size()), 8, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          float* out = args.out + i * hidden;
          kernel.unpack_row(args.table, args.ids[static_cast<size_t>(i)], out);
          if (args.scale == 1.0f) continue;
          for (int64_t c = 0; c < hidden; ++c) out[c] *= args.scale;
        }
      });
}

template <Engine engine>
void rms_norm(const OpContext& context, const RmsNormArgs& args) {
  const VectorOps& ops = vector_ops(level_of(engine));
  workers(context).parallel_for(args.tokens, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      ops.normalise(args.x + t * args.cols, args.weight, args.epsilon, args.cols,
                    args.out + t * args.cols);
    }
  });
}

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  const int64_t pairs = static_cast<int64_t>(args.inverse_frequency.size());
  for (const SequenceSlice& sequence : args.sequences) {
    workers(context).parallel_for(sequence.rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        float* out = args.table + (sequence.first_row + row) * 2 * pairs;
        const auto position = static_cast<float>(sequence.first_position + row);
        for (int64_t i = 0; i < pairs; ++i) {
          const float angle = position * args.inverse_frequency[static_cast<size_t>(i)];
          out[2 * i] = std::cos(angle) * args.magnitude;
          out[2 * i + 1] = std::sin(angle) * args.magnitude;
        }
      }
    });
  }
}

/// Norm, rotation and page writes of every head of one row.
void finish_row(const VectorOps& ops, const QkvRopeArgs& args, const SequenceSlice& sequence,
                int32_t i, float* keys, const float* values) {
  const KvLayout& layout = args.kv.layout;
  const int64_t row = sequence.first_row + i;
  const int32_t position = sequence.first_position + i;
  const int32_t page = sequence.pages[static_cast<size_t>(position / layout.page_tokens)];
  const float* rope = args.rope_table == nullptr ? nullptr : args.rope_table + row * args.rope_dims;
  HeadArgs head{.norm = args.q_norm,
                .rope = rope,
                .epsilon = args.epsilon,
                .head_dim = layout.head_dim,
                .rope_dims = args.rope_dims,
                .style = args.rope_style};
  for (int32_t h = 0; h < args.heads; ++h) {
    head.head = args.q + (row * args.heads + h) * layout.head_dim;
    ops.finish_head(head);
  }
  head.norm = args.k_norm;
  for (int32_t h = 0; h < layout.kv_heads; ++h) {
    const int64_t at = (row * layout.kv_heads + h) * layout.head_dim;
    head.head = keys + at;
    ops.finish_head(head);
    ops.store({.key = keys + at,
               .value = values + at,
               .keys = args.kv.keys(page, args.layer, h),
               .values = args.kv.values(page, args.layer, h),
               .layout = &layout,
               .place = position % layout.page_tokens});
  }
}

template <Engine engine>
void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  const int64_t kv_bytes = aligned(args.tokens * args.wk.rows * int64_t{sizeof(float)});
  const Parts parts = split(context, 2 * kv_bytes);
  auto* keys = reinterpret_cast<float*>(parts.own);
  auto* values = reinterpret_cast<float*>(parts.own + kv_bytes);
  const std::array<LinearTask, 3> tasks{{
      {.weight = args.wq, .bias = args.bq, .y = args.q, .y_stride = args.wq.rows},
      {.weight = args.wk, .bias = args.bk, .y = keys, .y_stride = args.wk.rows},
      {.weight = args.wv, .bias = args.bv, .y = values, .y_stride = args.wv.rows},
  }};
  linear_tasks(engine, parts.linear,
               {.x = args.x,
                .rows = {},
                .norm_weight = args.norm_weight,
                .epsilon = args.epsilon,
                .tokens = args.tokens,
                .cols = args.wq.cols},
               tasks);
  const VectorOps& ops = vector_ops(level_of(engine));
  const int64_t heads = args.heads + 2 * args.kv.layout.kv_heads;
  const int64_t grain = std::max<int64_t>(1, kHeadsGrain / heads);
  for (const SequenceSlice& sequence : args.sequences) {
    workers(context).parallel_for(sequence.rows, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        finish_row(ops, args, sequence, static_cast<int32_t>(i), keys, values);
      }
    });
  }
}

/// Units of one sequence: row blocks times KV heads.
int64_t units_of(const SequenceSlice& sequence, int32_t kv_heads) {
  return int64_t{(sequence.rows + kAttentionRows - 1) / kAttentionRows} * kv_heads;
}

/// Unit number `index` over all sequences. Later row blocks of a sequence are longer; they come
/// first.
AttentionUnit unit_at(const AttentionArgs& args, int64_t index) {
  const int32_t kv_heads = args.kv.layout.kv_heads;
  for (const SequenceSlice& sequence : args.sequences) {
    const int64_t units = units_of(sequence, kv_heads);
    if (index >= units) {
      index -= units;
      continue;
    }
    const int64_t block = units / kv_heads - 1 - index / kv_heads;
    const auto first = static_cast<int32_t>(block * kAttentionRows);
    return {.args = &args,
            .sequence = &sequence,
            .first = first,
            .rows = std::min(kAttentionRows, sequence.rows - first),
            .kv_head = static_cast<int32_t>(index % kv_heads)};
  }
  CHECK(false, "unit outside the batch");
  return {};
}

template <Engine engine>
void attention(const OpContext& context, const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  CHECK(layout.page_tokens % 16 == 0 && layout.page_tokens <= 64, "page size");
  const int64_t worker_bytes =
      aligned(attention_scratch_floats(args.heads, layout.head_dim) * int64_t{sizeof(float)});
  base::ThreadPool& pool = workers(context);
  CHECK(static_cast<int64_t>(context.scratch.size()) >= worker_bytes * pool.size(), "scratch");
  int64_t units = 0;
  for (const SequenceSlice& sequence : args.sequences) {
    units += units_of(sequence, layout.kv_heads);
  }
  const VectorOps& ops = vector_ops(level_of(engine));
  pool.parallel_for(units, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) {
      AttentionUnit unit = unit_at(args, i);
      unit.scratch = reinterpret_cast<float*>(context.scratch.data() + worker * worker_bytes);
      ops.attend(unit);
    }
  });
}

/// Unit number `index` over all items: the blocks of rows of a head follow one another.
EncoderUnit encoder_unit_at(const EncoderAttentionArgs& args, int64_t index) {
  for (size_t item = 0; item + 1 < args.starts.size(); ++item) {
    const int32_t first = args.starts[item], end = args.starts[item + 1];
    const int64_t blocks = (end - first + kEncoderRows - 1) / kEncoderRows;
    if (index >= blocks * args.heads) {
      index -= blocks * args.heads;
      continue;
    }
    const auto row = static_cast<int32_t>(first + index % blocks * kEncoderRows);
    return {.args = &args,
            .item_first = first,
            .item_end = end,
            .row = row,
            .rows = std::min(kEncoderRows, end - row),
            .head = static_cast<int32_t>(index / blocks)};
  }
  CHECK(false, "unit outside the batch");
  return {};
}

template <Engine engine>
void encoder_attention(const OpContext& context, const EncoderAttentionArgs& args) {
  const int64_t worker_bytes =
      aligned(encoder_scratch_floats(args.head_dim) * int64_t{sizeof(float)});
  base::ThreadPool& pool = workers(context);
  CHECK(static_cast<int64_t>(context.scratch.size()) >= worker_bytes * pool.size(), "scratch");
  int64_t units = 0;
  for (size_t item = 0; item + 1 < args.starts.size(); ++item) {
    units += (args.starts[item + 1] - args.starts[item] + kEncoderRows - 1) / kEncoderRows;
  }
  const VectorOps& ops = vector_ops(level_of(engine));
  pool.parallel_for(units * args.heads, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) {
      EncoderUnit unit = encoder_unit_at(args, i);
      unit.scratch = reinterpret_cast<float*>(context.scratch.data() + worker * worker_bytes);
      ops.attend_encoder(unit);
    }
  });
}

template <Engine engine>
void gate_up(const OpContext& context, const GateUpArgs& args) {
  linear_swiglu(engine, context,
                {.x = args.x,
                 .rows = {},
                 .norm_weight = args.norm_weight,
                 .epsilon = args.epsilon,
                 .tokens = args.tokens,
                 .cols = args.gate.cols},
                args.gate, args.up, args.out);
}

template <Engine engine>
void logits(const OpContext& context, const LogitsArgs& args) {
  const LinearTask task{.weight = args.head, .y = args.logits, .y_stride = args.head.rows};
  linear_tasks(engine, context,
               {.x = args.x,
                .rows = args.rows,
                .norm_weight = args.norm_weight,
                .epsilon = args.epsilon,
                .tokens = static_cast<int64_t>(args.rows.size()),
                .cols = args.head.cols},
               {&task, 1});
}

template <Engine engine>
void add_for(OpTable& table) {
  table.scratch_bytes = scratch_bytes;
  table.embed = embed<engine>;
  table.rms_norm = rms_norm<engine>;
  table.rope_table = rope_table;
  table.qkv_rope = qkv_rope<engine>;
  table.attention = attention<engine>;
  table.gate_up = gate_up<engine>;
  table.logits = logits<engine>;
  table.conv1d_gelu = [](const OpContext& context, const Conv1dGeluArgs& args) {
    conv1d_gelu(engine, context, args);
  };
  table.encoder_attention = encoder_attention<engine>;
}

}  // namespace

void add_fused_ops(Engine engine, OpTable& table) {
  switch (engine) {
    case Engine::kGeneric:
      return add_for<Engine::kGeneric>(table);
    case Engine::kAvx2:
      return add_for<Engine::kAvx2>(table);
    case Engine::kAvx512:
      return add_for<Engine::kAvx512>(table);
    case Engine::kVnni:
      return add_for<Engine::kVnni>(table);
    case Engine::kVnniBf16:
      return add_for<Engine::kVnniBf16>(table);
    case Engine::kAmx:
      return add_for<Engine::kAmx>(table);
  }
}

}  // namespace neuros::kernels::cpu
