#pragma once

#include "device/device.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/arenas.h"
#include "runtime/bound_program.h"
#include "runtime/pass_observer.h"
#include "sched/scheduler.h"

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

  /// Loads and records the kernels of a device that does so on first use, so that the first request
  /// is as fast as the next. Before any forward(): it writes to page 0.
  base::Result<> warm_up();

  /// Computes the batch's keys and values into its pages, and the logits it asks for. The batch is
  /// within plan.limits and stays until the call returns. An error is the device's, and final.
  base::Result<> forward(const sched::Batch& batch);

  /// Tells of every pass from the next on; null: nobody.
  void observe(PassObserver* observer);

  /// Logits of the last forward(), rows in the order of items and of positions inside one:
  /// [vocabulary]. They may be overwritten, and are until the next forward(). Copied now where the
  /// device has memory of its own and its ops give the greatest logits; an error is the device's.
  base::Result<std::span<float>> logits(int32_t row);
  int32_t logit_rows() const { return static_cast<int32_t>(logit_rows_.size()); }
  size_t vocabulary() const { return vocabulary_; }
  /// The greatest logits of a row; null where all logits are the host's anyway.
  const kernels::TopLogits* top_logits(int32_t row) const;

 private:
  void lay_out(const sched::Batch& batch);
  void lay_out(const sched::BatchItem& item, int32_t first_row);
  void run_pass(const kernels::BatchView& view);
  void run_ops(const kernels::OpContext& context);
  void run(const kernels::OpContext& context, kernels::EmbedArgs& args);
  void run(const kernels::OpContext& context, kernels::RopeTableArgs& args);
  void run(const kernels::OpContext& context, kernels::QkvRopeArgs& args);
  void run(const kernels::OpContext& context, kernels::AttentionArgs& args);
  void run(const kernels::OpContext& context, BoundLinear& linear);
  void run(const kernels::OpContext& context, kernels::GateUpArgs& args);
  void run(const kernels::OpContext& context, kernels::LogitsArgs& args);
  void place_host_memory();
  void copy_logits(const sched::Batch& batch);
  void copy_logits(int32_t first_row, int32_t rows);
  base::Result<> pass(const sched::Batch& batch);
  void mark();
  void report(int64_t started_us);
  void run_top_logits(const kernels::OpContext& context);
  int64_t tokens() const { return static_cast<int64_t>(ids_.size()); }
  bool device_has_own_memory() const { return ops_.stage_batch != nullptr; }

  const plan::BatchLimits limits_;
  const kernels::OpTable& ops_;
  kernels::OpContext context_;
  std::vector<BoundOp> bound_;
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
  std::vector<bool> on_host_;        ///< of logit_rows_, those whose logits were copied
  int64_t decode_tokens_ = 0;        ///< rows of decode steps; they come first
};

}  // namespace neuros::runtime
