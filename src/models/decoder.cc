#include "models/decoder.h"

#include "models/decoder_sizes.h"
#include "models/rope_scaling.h"

#include <cmath>
#include <string>

namespace neuros::models {
namespace {

/// Values of every decoder, by index.
enum DecoderValue : plan::ValueId { kHidden, kRopeTable, kQuery, kMixed, kFeedForward, kLogits };

/// Refers to tensors of one checkpoint, checking that they are there with the right shape.
class Weights {
 public:
  explicit Weights(const formats::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  base::Result<plan::WeightRef> required(const std::string& name, base::Shape shape) const {
    const base::TensorView tensor = TRY(checkpoint_.tensor(name));
    if (tensor.shape != shape) {
      return base::fail(checkpoint_.path + ": tensor " + name + ": shape " +
                        base::to_string(tensor.shape) + ", expected " + base::to_string(shape));
    }
    return plan::WeightRef{name, std::move(shape)};
  }

  base::Result<plan::WeightRef> by_presence(Presence presence, const std::string& name,
                                            base::Shape shape) const {
    const bool there = checkpoint_.find_tensor(name) != nullptr;
    if (presence == Presence::kNever || (presence == Presence::kOptional && !there)) {
      return plan::WeightRef{};
    }
    return required(name, std::move(shape));
  }

 private:
  const formats::Checkpoint& checkpoint_;
};

struct Decoder {
  const DecoderSizes& sizes;
  const DecoderTraits& traits;
  const Weights& weights;

  base::Result<plan::QkvRopeOp> qkv(int32_t layer, const std::string& prefix) const {
    const int64_t q_rows = int64_t{sizes.heads} * sizes.head_dim;
    const int64_t kv_rows = int64_t{sizes.kv_heads} * sizes.head_dim;
    plan::QkvRopeOp op;
    op.norm = TRY(weights.required(prefix + "attn_norm.weight", {sizes.hidden}));
    op.wq = TRY(weights.required(prefix + "attn_q.weight", {q_rows, sizes.hidden}));
    op.wk = TRY(weights.required(prefix + "attn_k.weight", {kv_rows, sizes.hidden}));
    op.wv = TRY(weights.required(prefix + "attn_v.weight", {kv_rows, sizes.hidden}));
    op.bq = TRY(weights.by_presence(traits.qkv_bias, prefix + "attn_q.bias", {q_rows}));
    op.bk = TRY(weights.by_presence(traits.qkv_bias, prefix + "attn_k.bias", {kv_rows}));
    op.bv = TRY(weights.by_presence(traits.qkv_bias, prefix + "attn_v.bias", {kv_rows}));
    op.q_norm =
        TRY(weights.by_presence(traits.qk_norm, prefix + "attn_q_norm.weight", {sizes.head_dim}));
    op.k_norm =
        TRY(weights.by_presence(traits.qk_norm, prefix + "attn_k_norm.weight", {sizes.head_dim}));
    op.epsilon = sizes.epsilon;
    op.layer = layer;
    op.heads = sizes.heads;
    op.kv_heads = sizes.kv_heads;
    op.head_dim = sizes.head_dim;
    op.rope_dims = sizes.rope_dims;
    op.rope_style = traits.rope_style;
    op.in = kHidden;
    op.rope_table = kRopeTable;
    op.out = kQuery;
    return op;
  }

  plan::AttentionOp attention(int32_t layer) const {
    plan::AttentionOp op;
    op.layer = layer;
    op.heads = sizes.heads;
    op.kv_heads = sizes.kv_heads;
    op.head_dim = sizes.head_dim;
    op.scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
    op.window = sizes.window;
    op.in = kQuery;
    op.out = kMixed;
    return op;
  }

  base::Result<plan::LinearResidualOp> residual(const std::string& prefix, const std::string& name,
                                                int64_t cols, plan::ValueId in) const {
    plan::LinearResidualOp op;
    op.weight = TRY(weights.required(prefix + name + ".weight", {sizes.hidden, cols}));
    op.bias =
        TRY(weights.by_presence(Presence::kOptional, prefix + name + ".bias", {sizes.hidden}));
    op.in = in;
    op.residual = kHidden;
    return op;
  }

  base::Result<plan::GateUpOp> gate_up(const std::string& prefix) const {
    plan::GateUpOp op;
    op.norm = TRY(weights.required(prefix + "ffn_norm.weight", {sizes.hidden}));
    op.gate = TRY(weights.required(prefix + "ffn_gate.weight", {sizes.feed_forward, sizes.hidden}));
    op.up = TRY(weights.required(prefix + "ffn_up.weight", {sizes.feed_forward, sizes.hidden}));
    op.epsilon = sizes.epsilon;
    op.in = kHidden;
    op.out = kFeedForward;
    return op;
  }

  base::Result<plan::Segment> layer(int32_t index) const {
    const std::string prefix = "blk." + std::to_string(index) + ".";
    plan::Segment segment;
    segment.name = "layer " + std::to_string(index);
    segment.ops.emplace_back(TRY(qkv(index, prefix)));
    segment.ops.emplace_back(attention(index));
    segment.ops.emplace_back(
        TRY(residual(prefix, "attn_output", int64_t{sizes.heads} * sizes.head_dim, kMixed)));
    segment.ops.emplace_back(TRY(gate_up(prefix)));
    segment.ops.emplace_back(TRY(residual(prefix, "ffn_down", sizes.feed_forward, kFeedForward)));
    return segment;
  }

  base::Result<plan::Segment> embed(plan::RopeTableOp rope) const {
    plan::EmbedOp op;
    op.table = TRY(weights.required("token_embd.weight", {sizes.vocabulary, sizes.hidden}));
    op.out = kHidden;
    return plan::Segment{"embed", {std::move(op), std::move(rope)}};
  }

  base::Result<plan::Segment> head() const {
    plan::LogitsOp op;
    op.norm = TRY(weights.required("output_norm.weight", {sizes.hidden}));
    op.head = TRY(weights.by_presence(Presence::kOptional, "output.weight",
                                      {sizes.vocabulary, sizes.hidden}));
    if (!op.head.exists()) op.head = {"token_embd.weight", {sizes.vocabulary, sizes.hidden}};
    op.epsilon = sizes.epsilon;
    op.in = kHidden;
    op.out = kLogits;
    return plan::Segment{"head", {std::move(op)}};
  }
};

std::vector<plan::Value> decoder_values(const DecoderSizes& sizes) {
  using Rows = plan::Value::Rows;
  const int64_t mixed = int64_t{sizes.heads} * sizes.head_dim;
  return {{"hidden", Rows::kTokens, sizes.hidden},
          {"rope_table", Rows::kTokens, sizes.rope_dims},
          {"query", Rows::kTokens, mixed},
          {"mixed", Rows::kTokens, mixed},
          {"feed_forward", Rows::kTokens, sizes.feed_forward},
          {"logits", Rows::kLogitRows, sizes.vocabulary}};
}

plan::Program describe_program(const formats::Checkpoint& checkpoint, const DecoderSizes& sizes) {
  plan::Program program;
  program.architecture = checkpoint.metadata.text_or_none("general.architecture").value_or("");
  program.name = checkpoint.metadata.text_or_none("general.name").value_or("");
  program.hidden = sizes.hidden;
  program.feed_forward = sizes.feed_forward;
  program.vocabulary = sizes.vocabulary;
  program.layers = sizes.layers;
  program.heads = sizes.heads;
  program.kv_heads = sizes.kv_heads;
  program.head_dim = sizes.head_dim;
  program.context_trained = sizes.context;
  program.values = decoder_values(sizes);
  return program;
}

}  // namespace

base::Result<plan::Program> make_decoder(const formats::Checkpoint& checkpoint,
                                         const DecoderTraits& traits) {
  const std::string prefix = TRY(checkpoint.metadata.text("general.architecture"));
  const DecoderSizes sizes = TRY(read_decoder_sizes(checkpoint, prefix));
  const RopeFrequencies rope = TRY(read_rope(checkpoint, prefix, sizes.rope_dims));
  const Weights weights(checkpoint);
  const Decoder decoder{sizes, traits, weights};
  plan::Program program = describe_program(checkpoint, sizes);
  program.segments.push_back(TRY(decoder.embed({rope.inverse, rope.magnitude, kRopeTable})));
  for (int32_t i = 0; i < sizes.layers; ++i) program.segments.push_back(TRY(decoder.layer(i)));
  program.segments.push_back(TRY(decoder.head()));
  return program;
}

}  // namespace neuros::models
