#include "runtime/bound_program.h"

#include "base/check.h"

namespace neuros::runtime {
namespace {

kernels::RopeStyle rope_style(plan::RopeStyle style) {
  return style == plan::RopeStyle::kInterleaved ? kernels::RopeStyle::kInterleaved
                                                : kernels::RopeStyle::kHalves;
}

class Binder {
 public:
  Binder(const plan::Plan& plan, const kernels::OpTable& ops, const Arenas& arenas)
      : plan_(plan), ops_(ops), arenas_(arenas), weights_(plan, arenas.weights) {}

  BoundOp operator()(const plan::EmbedOp& op) const;
  BoundOp operator()(const plan::RopeTableOp& op) const;
  BoundOp operator()(const plan::QkvRopeOp& op) const;
  BoundOp operator()(const plan::AttentionOp& op) const;
  BoundOp operator()(const plan::LinearResidualOp& op) const;
  BoundOp operator()(const plan::GateUpOp& op) const;
  BoundOp operator()(const plan::LogitsOp& op) const;

 private:
  float* value(plan::ValueId id) const;
  kernels::KvCache kv(int32_t kv_heads, int32_t head_dim) const;

  const plan::Plan& plan_;
  const kernels::OpTable& ops_;
  const Arenas& arenas_;
  WeightMap weights_;
};

float* Binder::value(plan::ValueId id) const {
  const plan::ValuePlacement& place = plan_.values.at(static_cast<size_t>(id));
  const WorkMemory& work = arenas_.work;
  const auto region = place.region == plan::Region::kShared ? work.shared : work.activations;
  CHECK(place.offset >= 0 && place.offset % 64 == 0);
  CHECK(static_cast<size_t>(place.offset + place.bytes) <= region.size());
  return reinterpret_cast<float*>(region.data() + place.offset);
}

kernels::KvCache Binder::kv(int32_t kv_heads, int32_t head_dim) const {
  const kernels::KvLayout layout{.dtype = plan_.kv.dtype,
                                 .page_tokens = plan_.kv.page_tokens,
                                 .layers = plan_.program.layers,
                                 .kv_heads = kv_heads,
                                 .head_dim = head_dim};
  CHECK(layout.page_bytes() == plan_.kv.page_bytes, "all layers share one layout of a page");
  return {.layout = layout, .arena = arenas_.kv.data()};
}

BoundOp Binder::operator()(const plan::EmbedOp& op) const {
  CHECK(ops_.embed != nullptr);
  return kernels::EmbedArgs{
      .table = weights_.matrix(op.table), .ids = {}, .out = value(op.out), .scale = op.scale};
}

BoundOp Binder::operator()(const plan::RopeTableOp& op) const {
  CHECK(ops_.rope_table != nullptr);
  return kernels::RopeTableArgs{.sequences = {},
                                .inverse_frequency = op.inverse_frequency,
                                .magnitude = op.magnitude,
                                .table = value(op.out)};
}

BoundOp Binder::operator()(const plan::QkvRopeOp& op) const {
  CHECK(ops_.qkv_rope != nullptr);
  return kernels::QkvRopeArgs{.x = value(op.in),
                              .norm_weight = weights_.vector(op.norm),
                              .epsilon = op.epsilon,
                              .wq = weights_.matrix(op.wq),
                              .wk = weights_.matrix(op.wk),
                              .wv = weights_.matrix(op.wv),
                              .bq = weights_.vector(op.bq),
                              .bk = weights_.vector(op.bk),
                              .bv = weights_.vector(op.bv),
                              .q_norm = weights_.vector(op.q_norm),
                              .k_norm = weights_.vector(op.k_norm),
                              .rope_table = op.rope_dims > 0 ? value(op.rope_table) : nullptr,
                              .rope_dims = op.rope_dims,
                              .rope_style = rope_style(op.rope_style),
                              .heads = op.heads,
                              .sequences = {},
                              .kv = kv(op.kv_heads, op.head_dim),
                              .layer = op.layer,
                              .q = value(op.out),
                              .tokens = 0};
}

BoundOp Binder::operator()(const plan::AttentionOp& op) const {
  CHECK(ops_.attention != nullptr);
  return kernels::AttentionArgs{.q = value(op.in),
                                .out = value(op.out),
                                .sequences = {},
                                .kv = kv(op.kv_heads, op.head_dim),
                                .layer = op.layer,
                                .heads = op.heads,
                                .scale = op.scale,
                                .window = op.window,
                                .soft_cap = op.soft_cap};
}

BoundOp Binder::operator()(const plan::LinearResidualOp& op) const {
  const kernels::PackedMatrix weight = weights_.matrix(op.weight);
  const kernels::LinearKernel& kernel = ops_.linear_for(weight.dtype);
  CHECK(kernel);
  return BoundLinear{.kernel = &kernel,
                     .args = {.weight = weight,
                              .x = value(op.in),
                              .bias = weights_.vector(op.bias),
                              .residual = value(op.residual),
                              .y = value(op.residual),
                              .tokens = 0}};
}

BoundOp Binder::operator()(const plan::GateUpOp& op) const {
  CHECK(ops_.gate_up != nullptr);
  return kernels::GateUpArgs{.x = value(op.in),
                             .norm_weight = weights_.vector(op.norm),
                             .epsilon = op.epsilon,
                             .gate = weights_.matrix(op.gate),
                             .up = weights_.matrix(op.up),
                             .out = value(op.out),
                             .tokens = 0};
}

BoundOp Binder::operator()(const plan::LogitsOp& op) const {
  CHECK(ops_.logits != nullptr);
  return kernels::LogitsArgs{.x = value(op.in),
                             .rows = {},
                             .norm_weight = weights_.vector(op.norm),
                             .epsilon = op.epsilon,
                             .head = weights_.matrix(op.head),
                             .logits = value(op.out)};
}

}  // namespace

std::vector<BoundOp> bind_program(const plan::Plan& plan, const kernels::OpTable& ops,
                                  const Arenas& arenas) {
  const Binder bind(plan, ops, arenas);
  std::vector<BoundOp> bound;
  for (const plan::Segment& segment : plan.program.segments) {
    for (const plan::Op& op : segment.ops) bound.push_back(std::visit(bind, op));
  }
  return bound;
}

}  // namespace neuros::runtime
