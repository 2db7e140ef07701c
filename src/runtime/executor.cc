#include "runtime/executor.h"

#include "base/check.h"
#include "runtime/live_process.h"
#include "runtime/plan_check.h"

#include <algorithm>
#include <array>
#include <variant>

namespace neuros::runtime {

namespace {

/// What a table says; the rest the kernels estimate for each launch.
kernels::KernelChoices measured_choices(const plan::Plan& plan) {
  std::vector<kernels::KernelChoice> choices;
  for (const plan::KernelChoice& choice : plan.kernel_choices) {
    if (choice.source != plan::KernelChoice::Source::kTable) continue;
    const auto op = kernels::choice_op_from_name(choice.op);
    CHECK(op.has_value(), choice.op.c_str());
    choices.push_back({{*op, choice.dtype, choice.rows, choice.cols, choice.tokens}, choice.value});
  }
  return kernels::KernelChoices(std::move(choices));
}

}  // namespace

Executor::Executor(const plan::Plan& plan, const kernels::OpTable& ops, device::Stream& stream,
                   const Arenas& arenas)
    : limits_(plan.limits),
      ops_(ops),
      choices_(measured_choices(plan)),
      context_{.stream = stream,
               .scratch = arenas.work.scratch,
               .host = arenas.host.span(),
               .limits = op_limits(plan),
               .choices = choices_.all().empty() ? nullptr : &choices_},
      kv_swap_(plan.kv, stream, arenas.kv.span(), arenas.kv_host.span()),
      bound_(bind_program(plan, ops, arenas)),
      vocabulary_(static_cast<size_t>(plan.program.vocabulary)) {
  ids_.reserve(static_cast<size_t>(limits_.batch_tokens));
  sequences_.reserve(static_cast<size_t>(limits_.sequences));
  logit_rows_.reserve(static_cast<size_t>(limits_.logit_rows));
  scored_.reserve(static_cast<size_t>(limits_.logit_rows));
  on_host_.reserve(static_cast<size_t>(limits_.logit_rows));
  for (const plan::Segment& segment : plan.program.segments) {
    step_ends_.push_back((step_ends_.empty() ? 0 : step_ends_.back()) + segment.ops.size());
  }
  for (auto& event : step_done_) event = stream.create_event();
  CHECK(ops.scratch_bytes(context_.limits) <= std::ssize(context_.scratch));
  for (const BoundOp& op : bound_) {
    if (const auto* args = std::get_if<kernels::LogitsArgs>(&op)) logits_ = args->logits;
  }
  CHECK(logits_ != nullptr, "a language model ends in logits");
  host_logits_ = logits_;
  if (device_has_own_memory()) place_host_memory();
}

/// The batch is staged at the start, then come the greatest logits, then all of them.
void Executor::place_host_memory() {
  const auto rows = static_cast<size_t>(limits_.logit_rows);
  const size_t logit_bytes = rows * vocabulary_ * sizeof(float);
  const size_t top_bytes =
      ops_.top_logits == nullptr ? 0 : (rows * sizeof(kernels::TopLogits) + 63) / 64 * 64;
  CHECK(top_bytes + logit_bytes <= context_.host.size());
  const size_t batch_bytes = context_.host.size() - top_bytes - logit_bytes;
  std::byte* after_batch = context_.host.data() + batch_bytes;
  if (top_bytes > 0) top_logits_ = reinterpret_cast<kernels::TopLogits*>(after_batch);
  host_logits_ = reinterpret_cast<float*>(after_batch + top_bytes);
  context_.host = context_.host.first(batch_bytes);
}

void Executor::observe(PassObserver* observer) {
  observer_ = observer;
  if (observer != nullptr) stopwatch_ = context_.stream.create_stopwatch();
}

base::Result<> Executor::forward(const sched::Batch& batch) {
  watched_ = observer_ != nullptr && observer_->watches();
  if (!watched_) return pass(batch);
  const int64_t started_us = now_us();
  TRY(pass(batch));
  report(started_us);
  return {};
}

base::Result<> Executor::pass(const sched::Batch& batch) {
  context_.stream.bind_thread();
  lay_out(batch);
  mark();
  kv_swap_.carry_out(batch.moves);
  if (device_has_own_memory()) ops_.stage_batch(context_, view());
  mark();
  const bool records = ops_.recording_key != nullptr && !watched_;
  const uint64_t key = records ? ops_.recording_key(view()) : 0;
  if (key == 0) {
    run_pass(view());
  } else {
    context_.stream.run_recorded(key, [&] { run_pass(view()); });
  }
  copy_logits();
  mark();
  return context_.stream.synchronize();
}

base::Result<> Executor::begin_pass(const sched::Batch& batch) {
  context_.stream.bind_thread();
  watched_ = false;
  lay_out(batch);
  kv_swap_.carry_out(batch.moves);
  if (device_has_own_memory()) ops_.stage_batch(context_, view());
  return context_.stream.synchronize();
}

base::Result<int32_t> Executor::run_steps(int32_t first, int32_t end, bool ahead,
                                          base::FunctionRef<bool()> go_on) {
  CHECK(first >= 0 && first < end && end <= steps());
  context_.stream.bind_thread();
  int32_t step = first;
  do {
    device::Event& done = *step_done_[static_cast<size_t>(step % 2)];
    if (ahead && step >= first + 2) TRY(done.wait());
    run_step(step);
    done.record();
    if (!ahead) TRY(done.wait());
  } while (++step < end && go_on());
  TRY(context_.stream.synchronize());
  return step;
}

/// What a table makes of whole decode steps needs all of their ops; the results are the same.
void Executor::run_step(int32_t step) {
  const auto index = static_cast<size_t>(step);
  const size_t first = index == 0 ? 0 : step_ends_[index - 1], end = step_ends_[index];
  if (ops_.run_pass == nullptr || only_decodes()) return run_ops(context_, first, end);
  ops_.run_pass(context_, view(),
                [&](const kernels::OpContext& context) { run_ops(context, first, end); });
}

base::Result<> Executor::finish_pass() {
  context_.stream.bind_thread();
  run_top_logits(context_);
  copy_logits();
  return context_.stream.synchronize();
}

void Executor::mark() {
  if (watched_) stopwatch_->mark();
}

/// The laps lie between the marks of pass() and run_ops().
void Executor::report(int64_t started_us) {
  const int64_t ended_us = now_us();
  const std::vector<double> laps = stopwatch_->laps_us();
  CHECK(laps.size() == bound_.size() + 3);
  observer_->on_pass({.started_us = started_us,
                      .ended_us = ended_us,
                      .decode_tokens = decode_tokens_,
                      .prompt_tokens = tokens() - decode_tokens_,
                      .staging_us = laps.front(),
                      .ops_us = std::span(laps).subspan(1, bound_.size()),
                      .top_logits_us = laps[laps.size() - 2],
                      .copies_us = laps.back()});
}

/// What the greatest logits cannot stand for: scored prompts, or everything where there are none.
void Executor::copy_logits() {
  on_host_.assign(logit_rows_.size(), !device_has_own_memory());
  if (!device_has_own_memory()) return;
  if (top_logits_ == nullptr) return copy_logits(0, logit_rows());
  for (int32_t row = 0; row < logit_rows();) {
    int32_t end = row;
    while (end < logit_rows() && scored_[static_cast<size_t>(end)]) ++end;
    if (end > row) copy_logits(row, end - row);
    row = std::max(end, row + 1);
  }
}

void Executor::copy_logits(int32_t first_row, int32_t rows) {
  const size_t offset = static_cast<size_t>(first_row) * vocabulary_;
  context_.stream.copy(reinterpret_cast<std::byte*>(host_logits_ + offset),
                       reinterpret_cast<const std::byte*>(logits_ + offset),
                       static_cast<size_t>(rows) * vocabulary_ * sizeof(float));
  std::fill_n(on_host_.begin() + first_row, rows, true);
}

base::Result<> Executor::warm_up() {
  if (!device_has_own_memory()) return {};
  constexpr std::array<sched::TokenId, 2> kTokens{};
  constexpr std::array<sched::PageId, 1> kPages{};
  sched::BatchItem item{.tokens = kTokens, .pages = kPages, .logits_last = true};
  if (limits_.batch_tokens > 1) TRY(forward({.items = {item}}));
  item.tokens = item.tokens.first(1);
  item.decodes = true;
  TRY(forward({.items = {item}}));
  return forward({.items = {item}});  // what the one before recorded
}

void Executor::run_pass(const kernels::BatchView& view) {
  // Who watches each op wants each by itself.
  if (ops_.run_pass == nullptr || watched_) return run_ops(context_);
  ops_.run_pass(context_, view, [this](const kernels::OpContext& context) { run_ops(context); });
}

void Executor::run_ops(const kernels::OpContext& context) {
  // With the embedding and a layer to do, the device does not wait for the rest.
  const size_t first_part = step_ends_[std::min<size_t>(1, step_ends_.size() - 1)];
  run_ops(context, 0, first_part);
  context.stream.cut_recording();
  run_ops(context, first_part, bound_.size());
  run_top_logits(context);
  mark();
}

void Executor::run_ops(const kernels::OpContext& context, size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) {
    if (watched_) observer_->before_op(i, bound_[i], tokens());
    std::visit([&](auto& bound) { run(context, bound); }, bound_[i]);
    mark();
  }
}

void Executor::run_top_logits(const kernels::OpContext& context) {
  if (top_logits_ == nullptr || logit_rows_.empty()) return;
  ops_.top_logits(context, {.logits = logits_,
                            .rows = logit_rows(),
                            .vocabulary = static_cast<int64_t>(vocabulary_),
                            .out = top_logits_});
}

base::Result<std::span<float>> Executor::logits(int32_t row) {
  CHECK(row >= 0 && row < logit_rows());
  if (!on_host_[static_cast<size_t>(row)]) {
    copy_logits(row, 1);
    TRY(context_.stream.synchronize());
  }
  return std::span(host_logits_ + static_cast<size_t>(row) * vocabulary_, vocabulary_);
}

const kernels::TopLogits* Executor::top_logits(int32_t row) const {
  CHECK(row >= 0 && row < logit_rows());
  return top_logits_ == nullptr ? nullptr : top_logits_ + row;
}

void Executor::lay_out(const sched::Batch& batch) {
  sequences_.clear();
  logit_rows_.clear();
  scored_.clear();
  decode_tokens_ = 0;
  for (const sched::BatchItem& item : batch.items) decode_tokens_ += item.decodes ? 1 : 0;
  ids_.resize(static_cast<size_t>(batch.tokens()));
  int32_t decode_row = 0, prompt_row = static_cast<int32_t>(decode_tokens_);
  for (const sched::BatchItem& item : batch.items) {
    int32_t& next = item.decodes ? decode_row : prompt_row;
    lay_out(item, next);
    next += static_cast<int32_t>(item.tokens.size());
  }
  CHECK(tokens() <= limits_.batch_tokens && logit_rows() <= limits_.logit_rows);
  CHECK(static_cast<int32_t>(sequences_.size()) <= limits_.sequences);
}

void Executor::lay_out(const sched::BatchItem& item, int32_t first_row) {
  const auto rows = static_cast<int32_t>(item.tokens.size());
  std::ranges::copy(item.tokens, ids_.begin() + first_row);
  sequences_.push_back({.first_row = first_row,
                        .rows = rows,
                        .first_position = item.first_position,
                        .pages = item.pages,
                        .decodes = item.decodes});
  if (!item.logits_all && !item.logits_last) return;
  for (int32_t row = item.logits_all ? 0 : rows - 1; row < rows; ++row) {
    logit_rows_.push_back(first_row + row);
    scored_.push_back(item.logits_all);
  }
}

void Executor::run(const kernels::OpContext& context, kernels::EmbedArgs& args) {
  args.ids = ids_;
  ops_.embed(context, args);
}

void Executor::run(const kernels::OpContext& context, kernels::RopeTableArgs& args) {
  args.sequences = sequences_;
  ops_.rope_table(context, args);
}

void Executor::run(const kernels::OpContext& context, kernels::QkvRopeArgs& args) {
  args.sequences = sequences_;
  args.tokens = tokens();
  args.decode_tokens = decode_tokens_;
  ops_.qkv_rope(context, args);
}

void Executor::run(const kernels::OpContext& context, kernels::AttentionArgs& args) {
  args.sequences = sequences_;
  ops_.attention(context, args);
}

void Executor::run(const kernels::OpContext& context, BoundLinear& linear) {
  linear.args.tokens = tokens();
  linear.args.decode_tokens = decode_tokens_;
  linear.kernel->run(context, linear.args);
}

void Executor::run(const kernels::OpContext& context, kernels::GateUpArgs& args) {
  args.tokens = tokens();
  args.decode_tokens = decode_tokens_;
  ops_.gate_up(context, args);
}

void Executor::run(const kernels::OpContext& context, kernels::LogitsArgs& args) {
  if (logit_rows_.empty()) return;
  args.rows = logit_rows_;
  ops_.logits(context, args);
}

}  // namespace neuros::runtime
