#include "kernels/qkv_rope.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>

namespace neuros::kernels::llama_cpp {
namespace {

/// Rotates the leading `dims` elements of a head by one row of the rope table.
void rotate(float* head, const float* row, int32_t dims, RopeStyle style) {
  const bool interleaved = style == RopeStyle::kInterleaved;
  for (int32_t pair = 0; pair < dims / 2; ++pair) {
    float& first = head[interleaved ? 2 * pair : pair];
    float& second = head[interleaved ? 2 * pair + 1 : pair + dims / 2];
    const float cosine = row[2 * pair], sine = row[2 * pair + 1];
    const float a = first, b = second;
    first = std::fma(a, cosine, -(b * sine));
    second = std::fma(a, sine, b * cosine);
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

}  // namespace

void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  const int64_t hidden = args.wq.cols;
  const int64_t q_width = args.wq.rows, kv_width = args.wk.rows;
  ref::Workspace workspace(context);
  const std::span normed = workspace.take<float>(args.tokens * hidden);
  const std::span keys = workspace.take<float>(args.tokens * kv_width);
  const std::span values = workspace.take<float>(args.tokens * kv_width);
  const OpContext rest{context.stream, workspace.rest()};

  rms_norm(rest, {args.x, args.norm_weight, normed.data(), args.tokens, hidden, args.epsilon});
  linear(rest, {args.wq, normed.data(), args.bq, nullptr, args.q, args.tokens});
  linear(rest, {args.wk, normed.data(), args.bk, nullptr, keys.data(), args.tokens});
  linear(rest, {args.wv, normed.data(), args.bv, nullptr, values.data(), args.tokens});
  ref::for_rows(context, args.tokens, [&](int64_t token, int) {
    finish_heads(args, token, args.heads, args.q_norm, args.q + token * q_width);
    finish_heads(args, token, args.kv.layout.kv_heads, args.k_norm, keys.data() + token * kv_width);
  });
  ref::store_keys_and_values(args, keys.data(), values.data());
}

}  // namespace neuros::kernels::llama_cpp
