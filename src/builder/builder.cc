#include "builder/builder.h"

#include "base/byte_size.h"
#include "base/check.h"
#include "builder/activation_layout.h"
#include "builder/kernel_selection.h"
#include "builder/kv_host.h"
#include "builder/process_estimate.h"
#include "builder/weight_layout.h"
#include "kernels/kv_layout.h"

#include <algorithm>
#include <bit>

namespace neuros::builder {
namespace {

constexpr int32_t kContextDefault = 8192;
constexpr int32_t kBatchTokensDefault = 512;
/// A GPU's matrix units are busy only with more rows than that.
constexpr int32_t kBatchTokensDefaultGpu = 2048;
constexpr int32_t kSequencesDefault = 64;
constexpr int32_t kPageTokens = 32;
/// Full contexts that fit in the KV pages by default, memory permitting.
constexpr int32_t kFullContextsDefault = 4;

int32_t pages_of(int32_t tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

base::Result<> check_request(const PlanRequest& request, const plan::Program& program) {
  using base::DType;
  if (request.kv_dtype != DType::kF16 && request.kv_dtype != DType::kBF16 &&
      request.kv_dtype != DType::kF32) {
    return base::fail("kv type " + std::string(base::name(request.kv_dtype)) +
                      ", expected f16, bf16 or f32");
  }
  if (request.context < 0 || request.context > program.context_trained) {
    return base::fail("context " + std::to_string(request.context) + ", expected 1 to " +
                      std::to_string(program.context_trained) + ", what the model was trained for");
  }
  if (request.batch_tokens < 0 || request.sequences < 0 || request.full_contexts < 0 ||
      request.workers < 1) {
    return base::fail("plan: batch tokens, sequences, contexts and workers must not be negative");
  }
  if (request.extra_scratch_bytes < 0) return base::fail("plan: scratch must not be negative");
  if (request.segment_alignment < plan::kSegmentAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(request.segment_alignment))) {
    return base::fail(
        "plan: segments at multiples of " + std::to_string(request.segment_alignment) +
        " bytes, expected a power of two from " + std::to_string(plan::kSegmentAlignment) + " on");
  }
  return {};
}

plan::BatchLimits first_limits(const PlanRequest& request, const plan::Program& program,
                               const kernels::OpTable& ops) {
  plan::BatchLimits limits;
  const int32_t batch_default =
      ops.host_bytes == nullptr ? kBatchTokensDefault : kBatchTokensDefaultGpu;
  const int64_t context = std::min<int64_t>(program.context_trained, kContextDefault);
  limits.context = request.context > 0 ? request.context : static_cast<int32_t>(context);
  limits.batch_tokens = request.batch_tokens > 0 ? request.batch_tokens : batch_default;
  limits.sequences = request.sequences > 0 ? request.sequences : kSequencesDefault;
  limits.batch_tokens = std::max(limits.batch_tokens, limits.sequences);
  limits.logit_rows = limits.sequences;
  return limits;
}

kernels::OpLimits op_limits(const plan::Plan& plan) {
  const plan::Program& program = plan.program;
  kernels::OpLimits limits;
  limits.tokens = plan.limits.batch_tokens;
  limits.sequences = plan.limits.sequences;
  limits.logit_rows = plan.limits.logit_rows;
  limits.heads = program.heads;
  limits.head_dim = program.head_dim;
  limits.context = plan.limits.context;
  limits.workers = plan.workers;
  limits.cols = plan.widest_cols();
  limits.rows = plan.widest_rows();
  return limits;
}

/// What the kernels keep in their scratch is the model's own, wherever the rest lies.
void size_scratch(const kernels::OpTable& ops, const PlanRequest& request, plan::Plan& plan) {
  const kernels::OpLimits limits = op_limits(plan);
  const int64_t all = ops.scratch_bytes(limits) + request.extra_scratch_bytes;
  if (request.step_memory == plan::Region::kOwn) {
    plan.memory.scratch = plan::work_aligned(all);
    return;
  }
  const int64_t kept = ops.kept_bytes == nullptr ? 0 : ops.kept_bytes(limits);
  plan.memory.scratch = plan::work_aligned(kept);
  plan.memory.shared += plan::work_aligned(all - kept);
}

void size_for_limits(const kernels::OpTable& ops, const PlanRequest& request, plan::Plan& plan) {
  lay_out_activations(plan, request.step_memory);
  size_scratch(ops, request, plan);
  if (ops.host_bytes == nullptr) return;
  plan.memory.arenas_on_host = false;
  const int64_t rows = plan.limits.logit_rows;
  const int64_t top_bytes =
      ops.top_logits == nullptr ? 0 : rows * static_cast<int64_t>(sizeof(kernels::TopLogits));
  plan.memory.host = (ops.host_bytes(op_limits(plan)) + 63) / 64 * 64 + (top_bytes + 63) / 64 * 64 +
                     rows * plan.program.vocabulary * static_cast<int64_t>(sizeof(float));
}

void size_kv(const PlanRequest& request, plan::Plan& plan) {
  const plan::Program& program = plan.program;
  const kernels::KvLayout layout{.dtype = request.kv_dtype,
                                 .page_tokens = kPageTokens,
                                 .layers = program.layers,
                                 .kv_heads = program.kv_heads,
                                 .head_dim = program.head_dim};
  plan.kv = {request.kv_dtype, kPageTokens, 0, layout.page_bytes()};
}

int64_t bytes_besides_kv(const plan::MemoryPlan& memory) {
  return memory.arena_bytes() - memory.kv;
}

tl::unexpected<base::Error> infeasible(const plan::Plan& plan, int64_t budget) {
  const plan::MemoryPlan& m = plan.memory;
  const int64_t kv = pages_of(plan.limits.context) * plan.kv.page_bytes;
  const std::string shared =
      m.shared > 0 ? ", shared with others " + base::mebibytes(m.shared) : "";
  return base::fail("plan: needs " + base::mebibytes(bytes_besides_kv(m) + kv) + " (weights " +
                        base::mebibytes(m.weights) + ", activations " +
                        base::mebibytes(m.activations) + ", scratch " + base::mebibytes(m.scratch) +
                        shared + ", KV of one context of " + std::to_string(plan.limits.context) +
                        " " + base::mebibytes(kv) + "), budget " + base::mebibytes(budget),
                    base::ErrorKind::kOutOfMemory);
}

/// As many KV pages as are useful and fit; false if not even one full context does.
bool grant_pages(const PlanRequest& request, int64_t budget, plan::Plan& plan) {
  const int32_t contexts = request.full_contexts > 0 ? request.full_contexts : kFullContextsDefault;
  const int64_t fitting = (budget - bytes_besides_kv(plan.memory)) / plan.kv.page_bytes;
  const int64_t useful =
      int64_t{pages_of(plan.limits.context)} * std::min(contexts, plan.limits.sequences);
  if (fitting < pages_of(plan.limits.context)) return false;
  plan.kv.pages = static_cast<int32_t>(std::min(fitting, useful));
  plan.memory.kv = plan.kv.pages * plan.kv.page_bytes;
  plan.reasons.push_back(
      "kv: " + std::to_string(plan.kv.pages) + " pages, " +
      (fitting < useful ? "all that fits the budget of " + base::mebibytes(budget)
                        : "room for " + std::to_string(useful / pages_of(plan.limits.context)) +
                              " full contexts"));
  return true;
}

/// What the plan needs, of what is known of the machine.
plan::MachineFacts counted_on(plan::MachineFacts machine, const plan::Plan& plan) {
  const plan::MemoryPlan& m = plan.memory;
  machine.cores = std::min(machine.cores, plan.workers);
  if (machine.host_bytes > 0) machine.host_bytes = m.peak_bytes();
  if (m.arenas_on_host) {
    machine.gpu.reset();
    return machine;
  }
  machine.cpu_level.clear();
  machine.avx512_bf16 = false;
  if (machine.gpu) machine.gpu->memory_bytes = m.arena_bytes();
  if (machine.gpu) machine.gpu->pinned_bytes = m.host + m.kv_host + plan::kUploadBytes;
  return machine;
}

}  // namespace

base::Result<plan::Plan> make_plan(const formats::Checkpoint& checkpoint, plan::Program program,
                                   const kernels::OpTable& ops, const PlanRequest& request) {
  TRY(check_request(request, program));
  plan::Plan plan;
  plan.program = std::move(program);
  plan.model_path = checkpoint.path;
  plan.device = request.device;
  plan.device_kind = request.device_kind;
  plan.op_table = ops.name;
  plan.workers = request.workers;
  plan.limits = first_limits(request, plan.program, ops);
  TRY(lay_out_weights(checkpoint, ops, request.weight_types, request.segment_alignment, plan));
  size_kv(request, plan);
  const int64_t budget = TRY(budget_besides_kv_host(request.memory_bytes, request.kv_host, ops));
  for (;;) {
    size_for_limits(ops, request, plan);
    if (grant_pages(request, budget, plan)) break;
    const int32_t shorter = plan.limits.context / 2;
    if (request.context > 0 || shorter < kContextLeast) {
      return infeasible(plan, budget);
    }
    plan.reasons.push_back("context: " + std::to_string(plan.limits.context) + " -> " +
                           std::to_string(shorter) + ", one full context did not fit");
    plan.limits.context = shorter;
  }
  TRY(grant_kv_host(request.kv_host, request.machine.host_bytes, {&plan, 1}));
  TRY(choose_kernels(ops, request.choices, plan));
  estimate_process(checkpoint, plan);
  plan.machine = counted_on(request.machine, plan);
  return plan;
}

WorkBytes work_bytes_for(plan::Plan plan, const kernels::OpTable& ops, PlanRequest request,
                         int32_t context, int32_t full_contexts) {
  plan.limits.context = context;
  request.full_contexts = full_contexts;
  size_for_limits(ops, request, plan);
  CHECK(grant_pages(request, int64_t{1} << 60, plan),
        "there is memory enough for any number of pages");
  return {.own = plan.memory.kv + plan.memory.activations + plan.memory.scratch,
          .shared = plan.memory.shared};
}

int32_t full_contexts_of(const plan::Plan& plan) {
  return std::max(1, plan.kv.pages / pages_of(plan.limits.context));
}

}  // namespace neuros::builder
