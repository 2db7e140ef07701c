#pragma once

#include "base/function_ref.h"
#include "device/device.h"
#include "kernels/kernel_choices.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/arenas.h"
#include "runtime/bound_program.h"
#include "runtime/kv_swap.h"
#include "runtime/pass_observer.h"
#include "sched/scheduler.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace neuros::runtime {

/// One forward pass over a batch. Allocates nothing after construction.
class Executor {
 public:
  /// All arguments outlive the executor; the weights are in their arena.
  Executor(const plan::Plan& plan, const kernels::OpTable& ops, device::Stream& stream,
           const Arenas& arenas);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Loads and records the kernels of a device that does so on first use, so that the first request
  /// is as fast as the next. Before any forward(): it writes to page 0.
  base::Result<> warm_up();

  /// Carries the batch's moves out, computes its keys and values into its pages, and the logits it
  /// asks for. The batch is
  /// within plan.limits and stays until the call returns. An error is the device's, and final.
  base::Result<> forward(const sched::Batch& batch);

  /// The same in parts: begin_pass(), then run_steps() until it came to steps(), then
  /// finish_pass(). Passes of other executors may run in between, and leave nothing in the memory
  /// that they share with this one; but not between the last step and finish_pass().
  base::Result<> begin_pass(const sched::Batch& batch);
  /// Runs the program's segments [first, end); returns where it stopped, which is after at least
  /// one of them, and where `go_on` says no. What was run is done when this returns. `ahead`: one
  /// is begun before `go_on` is asked, so that the device need not wait for the next.
  base::Result<int32_t> run_steps(int32_t first, int32_t end, bool ahead,
                                  base::FunctionRef<bool()> go_on);
  base::Result<> finish_pass();
  int32_t steps() const { return static_cast<int32_t>(step_ends_.size()); }
  /// Whether all rows of the pass are decode steps.
  bool only_decodes() const { return decode_tokens_ == tokens(); }

  /// Tells of every pass from the next on that is run by forward(); null: nobody.
  void observe(PassObserver* observer);

  /// Logits of the last forward(), rows in the order of items and of positions inside one:
  /// [vocabulary]. They may be overwritten, and are by the next pass of this executor or of one
  /// that shares memory with it. Copied now where the device has memory of its own and its ops give
  /// the greatest logits; an error is the device's.
  base::Result<std::span<float>> logits(int32_t row);
  int32_t logit_rows() const { return static_cast<int32_t>(logit_rows_.size()); }
  size_t vocabulary() const { return vocabulary_; }
  /// The greatest logits of a row; null where all logits are the host's anyway.
  const kernels::TopLogits* top_logits(int32_t row) const;

 private:
  void lay_out(const sched::Batch& batch);
  void lay_out(const sched::BatchItem& item, int32_t first_row);
  kernels::BatchView view() const {
    return {.ids = ids_, .sequences = sequences_, .logit_rows = logit_rows_};
  }
  void run_step(int32_t step);
  void run_pass(const kernels::BatchView& view);
  void run_ops(const kernels::OpContext& context);
  void run_ops(const kernels::OpContext& context, size_t first, size_t end);
  void run(const kernels::OpContext& context, kernels::EmbedArgs& args);
  void run(const kernels::OpContext& context, kernels::RopeTableArgs& args);
  void run(const kernels::OpContext& context, kernels::QkvRopeArgs& args);
  void run(const kernels::OpContext& context, kernels::AttentionArgs& args);
  void run(const kernels::OpContext& context, BoundLinear& linear);
  void run(const kernels::OpContext& context, kernels::GateUpArgs& args);
  void run(const kernels::OpContext& context, kernels::LogitsArgs& args);
  void place_host_memory();
  void copy_logits();
  void copy_logits(int32_t first_row, int32_t rows);
  base::Result<> pass(const sched::Batch& batch);
  void mark();
  void report(int64_t started_us);
  void run_top_logits(const kernels::OpContext& context);
  int64_t tokens() const { return static_cast<int64_t>(ids_.size()); }
  bool device_has_own_memory() const { return ops_.stage_batch != nullptr; }

  const plan::BatchLimits limits_;
  const kernels::OpTable& ops_;
  const kernels::KernelChoices choices_;
  kernels::OpContext context_;  ///< refers to choices_
  KvSwap kv_swap_;
  std::vector<BoundOp> bound_;
  std::vector<size_t> step_ends_;  ///< of each segment of the program, in bound_
  /// So that the host is no more than two steps ahead of the device.
  std::array<std::unique_ptr<device::Event>, 2> step_done_;
  float* logits_ = nullptr;       ///< [limits.logit_rows, vocabulary], where the ops write them
  float* host_logits_ = nullptr;  ///< the same where the host reads them
  kernels::TopLogits* top_logits_ = nullptr;  ///< [limits.logit_rows]; null: none are made
  size_t vocabulary_ = 0;
  PassObserver* observer_ = nullptr;
  std::unique_ptr<device::Stopwatch> stopwatch_;
  bool watched_ = false;  ///< the pass being run
  // Of the batch being run; their memory is reserved by the limits.
  std::vector<int32_t> ids_;
  std::vector<kernels::SequenceSlice> sequences_;
  std::vector<int32_t> logit_rows_;  ///< which rows of the batch get logits, in the order of items
  std::vector<bool> scored_;         ///< of logit_rows_, those of items with logits_all
  std::vector<bool> on_host_;        ///< of logit_rows_, those whose logits were copied
  int64_t decode_tokens_ = 0;        ///< rows of decode steps; they come first
};

}  // namespace neuros::runtime
