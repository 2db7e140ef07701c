#include "kernels/qkv_rope.h"

#include "base/float16.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>
#include <cstring>
#include <utility>

namespace neuros::kernels::ref {
namespace {

/// Rotates the leading `dims` elements of a head by one row of the rope table.
void rotate(float* head, const float* row, int32_t dims, RopeStyle style) {
  for (int32_t pair = 0; pair < dims / 2; ++pair) {
    const bool interleaved = style == RopeStyle::kInterleaved;
    float& first = head[interleaved ? 2 * pair : pair];
    float& second = head[interleaved ? 2 * pair + 1 : pair + dims / 2];
    const double cosine = row[2 * pair], sine = row[2 * pair + 1];
    const double a = first, b = second;
    first = static_cast<float>(a * cosine - b * sine);
    second = static_cast<float>(a * sine + b * cosine);
  }
}

/// Norm (if any) and rotation of one token's heads: [heads, head_dim].
void finish_heads(const QkvRopeArgs& args, int64_t token, int32_t heads, const float* norm,
                  float* values) {
  const int32_t head_dim = args.kv.layout.head_dim;
  for (int32_t h = 0; h < heads; ++h) {
    float* head = values + h * head_dim;
    if (norm != nullptr) {
      rms_norm_row({head, static_cast<size_t>(head_dim)}, norm, args.epsilon, head);
    }
    if (args.rope_table == nullptr) continue;
    rotate(head, args.rope_table + token * args.rope_dims, args.rope_dims, args.rope_style);
  }
}

void store(base::DType dtype, float value, int64_t index, std::byte* to) {
  if (dtype == base::DType::kF32) {
    std::memcpy(to + 4 * index, &value, sizeof(value));
    return;
  }
  CHECK(dtype == base::DType::kF16 || dtype == base::DType::kBF16);
  const uint16_t bits =
      dtype == base::DType::kF16 ? base::float_to_f16(value) : base::float_to_bf16(value);
  std::memcpy(to + 2 * index, &bits, sizeof(bits));
}

/// Writes one token's [kv_heads, head_dim] keys and values to its place in the pages.
void store_token(const QkvRopeArgs& args, const SequenceSlice& sequence, int32_t i,
                 const float* keys, const float* values) {
  const KvLayout& layout = args.kv.layout;
  const int32_t position = sequence.first_position + i;
  const int32_t page = sequence.pages[static_cast<size_t>(position / layout.page_tokens)];
  const int32_t place = position % layout.page_tokens;
  for (int32_t h = 0; h < layout.kv_heads; ++h) {
    for (int32_t e = 0; e < layout.head_dim; ++e) {
      store(layout.dtype, keys[h * layout.head_dim + e], layout.key_index(place, e),
            args.kv.keys(page, args.layer, h));
      store(layout.dtype, values[h * layout.head_dim + e], layout.value_index(place, e),
            args.kv.values(page, args.layer, h));
    }
  }
}

}  // namespace

void store_keys_and_values(const QkvRopeArgs& args, const float* keys, const float* values) {
  for (const SequenceSlice& sequence : args.sequences) {
    for (int32_t i = 0; i < sequence.rows; ++i) {
      const int64_t offset = (sequence.first_row + i) * args.wk.rows;
      store_token(args, sequence, i, keys + offset, values + offset);
    }
  }
}

void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  const int64_t hidden = args.wq.cols;
  const int64_t q_width = args.wq.rows, kv_width = args.wk.rows;
  Workspace workspace(context);
  const std::span normed = workspace.take<float>(args.tokens * hidden);
  const std::span keys = workspace.take<float>(args.tokens * kv_width);
  const std::span values = workspace.take<float>(args.tokens * kv_width);
  const OpContext rest{context.stream, workspace.rest()};

  rms_norm(rest, {args.x, args.norm_weight, normed.data(), args.tokens, hidden, args.epsilon});
  linear(rest, {args.wq, normed.data(), args.bq, nullptr, args.q, args.tokens});
  linear(rest, {args.wk, normed.data(), args.bk, nullptr, keys.data(), args.tokens});
  linear(rest, {args.wv, normed.data(), args.bv, nullptr, values.data(), args.tokens});
  for_rows(context, args.tokens, [&](int64_t token, int) {
    finish_heads(args, token, args.heads, args.q_norm, args.q + token * q_width);
    finish_heads(args, token, args.kv.layout.kv_heads, args.k_norm, keys.data() + token * kv_width);
  });
  store_keys_and_values(args, keys.data(), values.data());
}

}  // namespace neuros::kernels::ref
