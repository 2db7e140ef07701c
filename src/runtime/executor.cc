#include "runtime/executor.h"

#include "base/check.h"

#include <variant>

namespace neuros::runtime {

Executor::Executor(const plan::Plan& plan, const kernels::OpTable& ops, device::Stream& stream,
                   const Arenas& arenas)
    : limits_(plan.limits),
      ops_(ops),
      context_{.stream = stream, .scratch = arenas.scratch.span()},
      bound_(bind_program(plan, ops, arenas)),
      vocabulary_(static_cast<size_t>(plan.program.vocabulary)) {
  ids_.reserve(static_cast<size_t>(limits_.batch_tokens));
  sequences_.reserve(static_cast<size_t>(limits_.sequences));
  logit_rows_.reserve(static_cast<size_t>(limits_.logit_rows));
  for (const BoundOp& op : bound_) {
    if (const auto* args = std::get_if<kernels::LogitsArgs>(&op)) logits_ = args->logits;
  }
  CHECK(logits_ != nullptr, "a language model ends in logits");
}

void Executor::forward(const sched::Batch& batch) {
  lay_out(batch);
  for (BoundOp& op : bound_) {
    std::visit([this](auto& bound) { run(bound); }, op);
  }
  context_.stream.synchronize();
}

std::span<float> Executor::logits(int32_t row) {
  CHECK(row >= 0 && row < logit_rows());
  return {logits_ + static_cast<size_t>(row) * vocabulary_, vocabulary_};
}

void Executor::lay_out(const sched::Batch& batch) {
  ids_.clear();
  sequences_.clear();
  logit_rows_.clear();
  for (const sched::BatchItem& item : batch.items) lay_out(item);
  CHECK(tokens() <= limits_.batch_tokens && logit_rows() <= limits_.logit_rows);
  CHECK(static_cast<int32_t>(sequences_.size()) <= limits_.sequences);
}

void Executor::lay_out(const sched::BatchItem& item) {
  const auto first = static_cast<int32_t>(ids_.size());
  const auto rows = static_cast<int32_t>(item.tokens.size());
  ids_.insert(ids_.end(), item.tokens.begin(), item.tokens.end());
  sequences_.push_back({.first_row = first,
                        .rows = rows,
                        .first_position = item.first_position,
                        .pages = item.pages});
  if (!item.logits_all && !item.logits_last) return;
  for (int32_t row = item.logits_all ? 0 : rows - 1; row < rows; ++row) {
    logit_rows_.push_back(first + row);
  }
}

void Executor::run(kernels::EmbedArgs& args) {
  args.ids = ids_;
  ops_.embed(context_, args);
}

void Executor::run(kernels::RopeTableArgs& args) {
  args.sequences = sequences_;
  ops_.rope_table(context_, args);
}

void Executor::run(kernels::QkvRopeArgs& args) {
  args.sequences = sequences_;
  args.tokens = tokens();
  ops_.qkv_rope(context_, args);
}

void Executor::run(kernels::AttentionArgs& args) {
  args.sequences = sequences_;
  ops_.attention(context_, args);
}

void Executor::run(BoundLinear& linear) {
  linear.args.tokens = tokens();
  linear.kernel->run(context_, linear.args);
}

void Executor::run(kernels::GateUpArgs& args) {
  args.tokens = tokens();
  ops_.gate_up(context_, args);
}

void Executor::run(kernels::LogitsArgs& args) {
  if (logit_rows_.empty()) return;
  args.rows = logit_rows_;
  ops_.logits(context_, args);
}

}  // namespace neuros::runtime
