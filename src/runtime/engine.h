#pragma once

/// One booted model and the processes that run on it.

#include "base/result.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "kernels/top_logits.h"
#include "plan/plan.h"
#include "runtime/model_boot.h"
#include "runtime/pass_observer.h"
#include "runtime/weight_loading.h"
#include "sched/scheduler.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace neuros::runtime {

enum class EndReason { kFinished, kLength, kCancelled, kFailed };

/// Where the time of a process went; the parts add up to end - submit.
struct ProcessTimes {
  int64_t queue_us = 0;    ///< waiting for pages or a place in a batch, before the first batch
  int64_t swap_us = 0;     ///< waiting for the model's weights, at any time, at boot too
  int64_t prefill_us = 0;  ///< from the first batch to the first new token, without swap_us
  int64_t decode_us = 0;   ///< from there to the end, without swap_us
};

struct ProcessEnd {
  EndReason reason = EndReason::kFinished;
  std::string error;  ///< for kFailed
  ProcessTimes times;
  int32_t prompt_tokens = 0, generated_tokens = 0, cached_tokens = 0;
};

struct NextToken {
  int32_t id = 0;
  bool stop = false;  ///< end here; the token is not appended
};

/// What a process asks of its owner. Called on the engine's thread, never after on_end().
class ProcessClient {
 public:
  virtual ~ProcessClient() = default;
  /// Logits after prompt position `position`, for processes with prompt_logits; in order. The last
  /// prompt position comes here too, and then to on_logits.
  virtual void on_prompt_logits(int32_t /*position*/, std::span<const float> /*logits*/) {}
  /// Where logits lie in a device's memory, before on_logits: choose the next token by the greatest
  /// of them, or ask for all by nullopt, which costs a copy of the row.
  virtual std::optional<NextToken> on_top_logits(const kernels::TopLogits& /*top*/) {
    return std::nullopt;
  }
  /// Logits for the next token; choose it. `logits` may be overwritten.
  virtual NextToken on_logits(std::span<float> logits) = 0;
  virtual void on_end(const ProcessEnd& end) = 0;
};

struct ProcessSpec {
  std::vector<int32_t> prompt;
  int32_t max_new_tokens = 0;  ///< 0: only the prompt is evaluated (scoring)
  sched::Priority priority = sched::Priority::kMedium;
  bool prompt_logits = false;
  std::shared_ptr<ProcessClient> client;
};

struct EngineOptions {
  int32_t queue_max = 256;
  LoadOptions load;
  PassObserver* observer = nullptr;  ///< outlives the engine; null: nobody listens
};

struct EngineStats {
  sched::SchedulerStats scheduler;
  uint64_t batches = 0, tokens_prefilled = 0, tokens_decoded = 0;
  int64_t busy_us = 0;        ///< time inside forward passes
  int64_t kv_page_bytes = 0;  ///< of what the scheduler counts
  int64_t swapped_out_bytes() const {
    return static_cast<int64_t>(scheduler.pages_swapped_out) * kv_page_bytes;
  }
  int64_t swapped_in_bytes() const {
    return static_cast<int64_t>(scheduler.pages_swapped_in) * kv_page_bytes;
  }
};

/// Boots a plan: reserves exactly its arenas, loads the weights, starts the executor's thread.
/// Refuses a machine that lacks what the plan counts on, before any of that.
class Engine {
 public:
  static base::Result<std::unique_ptr<Engine>> boot(plan::Plan plan,
                                                    const formats::Checkpoint& checkpoint,
                                                    device::Device& device, EngineOptions options);
  virtual ~Engine() = default;

  /// kInvalid: empty or ids outside the vocabulary; kUnavailable: queue full or stopping; kIo: the
  /// model failed at boot; an error naming both counts if prompt + max_new_tokens exceed the
  /// context.
  virtual base::Result<sched::ProcessId> submit(ProcessSpec spec) = 0;
  /// The process ends with kCancelled at the next batch boundary, unless it ended before.
  virtual void cancel(sched::ProcessId id) = 0;
  /// Refuses new processes and returns when the running ones have ended.
  virtual void drain() = 0;
  virtual EngineStats stats() const = 0;
  virtual const plan::Plan& plan() const = 0;
  /// Empty until the model is ready.
  virtual LoadReport load_report() const = 0;
  virtual ModelBoot boot_state() const = 0;
};

/// Told of each model of a fleet, by its index, once it is ready or failed; on the thread that
/// prepared it, which may be one of the fleet's own. May be empty.
using OnModelBoot = std::function<void(size_t model, const Engine& engine)>;

}  // namespace neuros::runtime
