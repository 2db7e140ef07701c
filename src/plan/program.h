#pragma once

/// A model as the rest of the system sees it: segments of fused ops over named weights. No device,
/// no kernel and no address appears here; plan/plan.h adds those.

#include "base/tensor_view.h"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace neuros::plan {

/// A tensor of the checkpoint by its GGUF name, with the shape the model needs.
struct WeightRef {
  std::string name;   ///< empty: the model has none here (no bias, say)
  base::Shape shape;  ///< [rows, cols] of a matrix, [n] of a vector
  bool exists() const { return !name.empty(); }
};

/// An activation: [rows, cols] floats, rows by batch.
struct Value {
  enum class Rows { kTokens, kLogitRows };
  std::string name;
  Rows rows = Rows::kTokens;
  int64_t cols = 0;
};
/// Index into Program::values.
using ValueId = int32_t;

enum class RopeStyle { kInterleaved, kHalves };

/// hidden = rows of the table
struct EmbedOp {
  WeightRef table;  ///< [vocabulary, hidden]
  float scale = 1.0f;
  ValueId out = 0;
};

/// cos and sin for this batch's positions, used by every layer.
struct RopeTableOp {
  std::vector<float> inverse_frequency;  ///< [dims/2]
  float magnitude = 1.0f;
  ValueId out = 0;
};

/// norm, Q K V, biases, per-head norms, rotation, write of K and V to the pages of `layer`.
struct QkvRopeOp {
  WeightRef norm, wq, wk, wv, bq, bk, bv, q_norm, k_norm;
  float epsilon = 1e-5f;
  int32_t layer = 0, heads = 0, kv_heads = 0, head_dim = 0, rope_dims = 0;
  RopeStyle rope_style = RopeStyle::kHalves;
  ValueId in = 0, rope_table = 0, out = 0;
};

struct AttentionOp {
  int32_t layer = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 1.0f;
  int32_t window = 0;     ///< 0: all positions
  float soft_cap = 0.0f;  ///< 0: none
  ValueId in = 0, out = 0;
};

/// residual += W in + bias
struct LinearResidualOp {
  WeightRef weight, bias;
  ValueId in = 0, residual = 0;
};

/// out = silu(Wg h) * (Wu h), h = norm(in)
struct GateUpOp {
  WeightRef norm, gate, up;
  float epsilon = 1e-5f;
  ValueId in = 0, out = 0;
};

struct LogitsOp {
  WeightRef norm, head;  ///< head may be the embedding table (tied)
  float epsilon = 1e-5f;
  ValueId in = 0, out = 0;
};

using Op = std::variant<EmbedOp, RopeTableOp, QkvRopeOp, AttentionOp, LinearResidualOp, GateUpOp,
                        LogitsOp>;

/// The unit of residency and of preemption: "embed", "layer 0" ..., "head".
struct Segment {
  std::string name;
  std::vector<Op> ops;
};

struct Program {
  std::string name;          ///< of the model, for people
  std::string architecture;  ///< "llama"
  int64_t hidden = 0, feed_forward = 0, vocabulary = 0;
  int32_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t context_trained = 0;  ///< longest context the model was made for
  std::vector<Value> values;
  std::vector<Segment> segments;  ///< in order of execution
};

/// The op's name as plans and metrics print it: "qkv_rope".
const char* name(const Op& op);
/// Weights an op reads, in the order its kernel reads them; absent ones left out.
std::vector<const WeightRef*> weights_of(const Op& op);
/// Values an op reads, and those it writes.
std::vector<ValueId> reads_of(const Op& op);
std::vector<ValueId> writes_of(const Op& op);

}  // namespace neuros::plan
