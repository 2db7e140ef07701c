#include "plan/program.h"

namespace neuros::plan {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;  // Clang 14 does not deduce aggregates

}  // namespace

const char* name(const Op& op) {
  return std::visit(Overloaded{[](const EmbedOp&) { return "embed"; },
                               [](const RopeTableOp&) { return "rope_table"; },
                               [](const QkvRopeOp&) { return "qkv_rope"; },
                               [](const AttentionOp&) { return "attention"; },
                               [](const LinearResidualOp&) { return "linear_residual"; },
                               [](const GateUpOp&) { return "gate_up"; },
                               [](const LogitsOp&) { return "logits"; }},
                    op);
}

std::vector<const WeightRef*> weights_of(const Op& op) {
  using Refs = std::vector<const WeightRef*>;
  Refs all = std::visit(Overloaded{[](const EmbedOp& o) -> Refs { return {&o.table}; },
                                   [](const RopeTableOp&) -> Refs { return {}; },
                                   [](const QkvRopeOp& o) -> Refs {
                                     return {&o.norm, &o.wq,     &o.bq, &o.q_norm, &o.wk,
                                             &o.bk,   &o.k_norm, &o.wv, &o.bv};
                                   },
                                   [](const AttentionOp&) -> Refs { return {}; },
                                   [](const LinearResidualOp& o) -> Refs {
                                     return {&o.weight, &o.bias};
                                   },
                                   [](const GateUpOp& o) -> Refs {
                                     return {&o.norm, &o.gate, &o.up};
                                   },
                                   [](const LogitsOp& o) -> Refs {
                                     return {&o.norm, &o.head};
                                   }},
                        op);
  std::erase_if(all, [](const WeightRef* ref) { return !ref->exists(); });
  return all;
}

std::vector<ValueId> reads_of(const Op& op) {
  using Ids = std::vector<ValueId>;
  return std::visit(Overloaded{[](const EmbedOp&) -> Ids { return {}; },
                               [](const RopeTableOp&) -> Ids { return {}; },
                               [](const QkvRopeOp& o) -> Ids {
                                 return {o.in, o.rope_table};
                               },
                               [](const AttentionOp& o) -> Ids { return {o.in}; },
                               [](const LinearResidualOp& o) -> Ids {
                                 return {o.in, o.residual};
                               },
                               [](const GateUpOp& o) -> Ids { return {o.in}; },
                               [](const LogitsOp& o) -> Ids { return {o.in}; }},
                    op);
}

std::vector<ValueId> writes_of(const Op& op) {
  return {std::visit(Overloaded{[](const LinearResidualOp& o) { return o.residual; },
                                [](const auto& o) { return o.out; }},
                     op)};
}

}  // namespace neuros::plan
