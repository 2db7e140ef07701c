#include "plan/validate.h"

#include "plan/bounds.h"
#include "plan/lifetimes.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::plan {
namespace {

using base::fail;
using base::Result;

constexpr int64_t kWide = int64_t{1} << 28;
constexpr int64_t kPlaceAlignment = 64;
constexpr int64_t kPlanGroupsMax = 4096;

int64_t aligned(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

Result<> check_sizes(const MemoryPlan& memory) {
  for (const int64_t bytes :
       {memory.weights, memory.kv, memory.activations, memory.scratch, memory.shared, memory.driver,
        memory.host, memory.kv_host, memory.staging, memory.metadata, memory.process}) {
    TRY(within("bytes of memory", bytes, 0, kPlanBytesMax));
  }
  return {};
}

/// What any batch of a size up to this needs is far from overflowing.
Result<> check_limits(const Plan& plan) {
  const BatchLimits& limits = plan.limits;
  TRY(within("context", limits.context, 1, 1 << 30));
  TRY(within("batch tokens", limits.batch_tokens, 1, 1 << 20));
  TRY(within("sequences", limits.sequences, 1, limits.batch_tokens));
  TRY(within("logit rows", limits.logit_rows, 1, limits.batch_tokens));
  return within("workers", plan.workers, 1, 4096);
}

Result<> check_kv(const Plan& plan) {
  using base::DType;
  const KvPlan& kv = plan.kv;
  if (kv.dtype != DType::kF16 && kv.dtype != DType::kBF16 && kv.dtype != DType::kF32) {
    return fail("kv type " + std::string(base::name(kv.dtype)) + ", expected f16, bf16 or f32");
  }
  if (kv.page_tokens % 16 != 0) {
    return fail("KV pages of " + std::to_string(kv.page_tokens) +
                " tokens, expected a multiple of 16");
  }
  TRY(within("tokens of a KV page", kv.page_tokens, 16, 64));
  const Program& p = plan.program;
  const int64_t head_bytes = base::bytes_of(kv.dtype, int64_t{kv.page_tokens} * p.head_dim);
  TRY(equal("bytes of a KV page", kv.page_bytes, 2 * head_bytes * p.kv_heads * p.layers));
  TRY(within("KV pages", kv.pages, 1, kPlanBytesMax / kv.page_bytes));
  TRY(equal("bytes of KV pages", plan.memory.kv, kv.pages * kv.page_bytes));
  TRY(within("KV pages on the host", kv.host_pages, 0, kPlanBytesMax / kv.page_bytes));
  return equal("bytes of KV pages on the host", plan.memory.kv_host, kv.host_pages * kv.page_bytes);
}

Result<> check_segments(const Plan& plan, int64_t alignment) {
  TRY(equal("segments", std::ssize(plan.segments), std::ssize(plan.program.segments)));
  int64_t end = 0;
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const SegmentPlacement& segment = plan.segments[i];
    if (segment.name != plan.program.segments[i].name) {
      return fail("segment " + segment.name + " is placed for " + plan.program.segments[i].name);
    }
    TRY(equal("offset of segment " + segment.name, segment.offset, end));
    TRY(within("bytes of segment " + segment.name, segment.bytes, 0, kPlanBytesMax - end));
    TRY(equal("end of segment " + segment.name, segment.bytes % kSegmentAlignment, 0));
    end = aligned(segment.offset + segment.bytes, alignment);
  }
  return equal("bytes of weights", plan.memory.weights, end);
}

Result<> check_weight_shape(const WeightPlacement& weight) {
  const bool is_matrix = weight.kind == WeightPlacement::Kind::kMatrix;
  TRY(within("rows", weight.rows, 1, is_matrix ? kWide : 1));
  TRY(within("columns", weight.cols, 1, kWide));
  TRY(within("bytes", weight.bytes, 1, kPlanBytesMax));
  TRY(within("bytes in the file", weight.file_bytes, 0, kPlanBytesMax));
  if (!is_matrix) {
    const int64_t bytes = base::bytes_of(base::DType::kF32, weight.cols);
    return equal("bytes", weight.bytes, aligned(bytes, kPlaceAlignment));
  }
  for (const base::DType dtype : {weight.dtype, weight.file_dtype}) {
    if (static_cast<int>(dtype) < base::kWeightDTypeCount) continue;
    return fail("type " + std::string(base::name(dtype)) + " for a matrix");
  }
  if (weight.is_quantised_at_boot() && base::is_quantised(weight.file_dtype)) {
    return fail("type " + std::string(base::name(weight.dtype)) + " of what is " +
                std::string(base::name(weight.file_dtype)) + " in the file");
  }
  return equal("columns beyond whole blocks", weight.cols % base::info(weight.dtype).block_elements,
               0);
}

/// Weights of a segment lie in it one behind the other.
Result<> check_weight_place(const Plan& plan, const WeightPlacement& weight,
                            std::vector<int64_t>& ends) {
  TRY(within("segment", weight.segment, 0, std::ssize(plan.segments) - 1));
  const auto index = static_cast<size_t>(weight.segment);
  const SegmentPlacement& segment = plan.segments[index];
  const int64_t segment_end = segment.offset + segment.bytes;
  TRY(within("offset", weight.offset, std::max(segment.offset, ends[index]),
             segment_end - weight.bytes));
  ends[index] = weight.offset + weight.bytes;
  return equal("offset beyond whole " + std::to_string(kPlaceAlignment) + " bytes",
               weight.offset % kPlaceAlignment, 0);
}

Result<> check_weights(const Plan& plan) {
  std::vector<int64_t> ends(plan.segments.size(), 0);
  std::set<std::string_view> names;
  for (const WeightPlacement& weight : plan.weights) {
    if (!names.insert(weight.name).second) return fail("weight " + weight.name + ": placed twice");
    auto checked = check_weight_shape(weight);
    if (checked) checked = check_weight_place(plan, weight, ends);
    if (!checked) {
      return tl::unexpected(with_context(std::move(checked).error(), "weight " + weight.name));
    }
  }
  return {};
}

/// Between two steps any model of the device may have written to what they share.
Result<> check_region(const Program& program, const ValuePlacement& placed,
                      const Lifetime& lifetime) {
  if (placed.region == Region::kOwn || lifetime.is_within_steps()) return {};
  return fail("in the memory that models take in turn, though " +
              program.segments[static_cast<size_t>(lifetime.taken_over_by)].name +
              " reads what an earlier step left there");
}

Result<> check_value(const Plan& plan, const Value& value, const ValuePlacement& placed,
                     const Lifetime& lifetime) {
  const bool by_token = value.rows == Value::Rows::kTokens;
  const int64_t rows = by_token ? plan.limits.batch_tokens : plan.limits.logit_rows;
  const int64_t bytes = base::bytes_of(base::DType::kF32, rows * value.cols);
  TRY(equal("bytes", placed.bytes, aligned(bytes, kPlaceAlignment)));
  const bool shared = placed.region == Region::kShared;
  const int64_t room = shared ? plan.memory.shared : plan.memory.activations;
  TRY(within("offset", placed.offset, 0, room - placed.bytes));
  TRY(equal("offset beyond whole " + std::to_string(kPlaceAlignment) + " bytes",
            placed.offset % kPlaceAlignment, 0));
  TRY(equal("first op", placed.first_op, lifetime.first_op));
  TRY(equal("last op", placed.last_op, lifetime.last_op));
  return check_region(plan.program, placed, lifetime);
}

bool collide(const ValuePlacement& a, const ValuePlacement& b) {
  return a.region == b.region && a.first_op <= b.last_op && b.first_op <= a.last_op &&
         a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/// The parts of the memory that passes work in lie one behind the other.
Result<> check_work(const MemoryPlan& memory) {
  const auto whole = [](const std::string& what, int64_t bytes) {
    return equal("bytes of " + what + " beyond whole " + std::to_string(kWorkAlignment),
                 bytes % kWorkAlignment, 0);
  };
  TRY(whole("activations", memory.activations));
  TRY(whole("scratch", memory.scratch));
  return whole("memory that models take in turn", memory.shared);
}

/// The program's ops have been checked: they touch values that are there.
Result<> check_values(const Plan& plan) {
  constexpr int64_t kValuesMax = 1024;
  TRY(within("values", std::ssize(plan.program.values), 1, kValuesMax));
  TRY(equal("placed values", std::ssize(plan.values), std::ssize(plan.program.values)));
  const std::vector<Lifetime> expected = lifetimes(plan.program);
  for (size_t i = 0; i < plan.values.size(); ++i) {
    const ValuePlacement& placed = plan.values[i];
    auto checked = check_value(plan, plan.program.values[i], placed, expected[i]);
    for (size_t other = 0; checked && other < i; ++other) {
      if (collide(placed, plan.values[other])) {
        checked = fail("shares memory with " + plan.values[other].name);
      }
    }
    if (!checked) {
      return tl::unexpected(with_context(std::move(checked).error(), "value " + placed.name));
    }
  }
  return {};
}

Result<> check_choices(const Plan& plan) {
  for (const KernelChoice& choice : plan.kernel_choices) {
    TRY(within("rows of a kernel choice", choice.rows, 1, kPlanBytesMax));
    TRY(within("columns of a kernel choice", choice.cols, 1, kPlanBytesMax));
    TRY(within("tokens of a kernel choice", choice.tokens, 1, kPlanBytesMax));
  }
  return {};
}

Result<> check_machine(const MachineFacts& machine) {
  TRY(within("cores", machine.cores, 0, INT32_MAX));
  TRY(within("bytes of the host", machine.host_bytes, 0, 64 * kPlanBytesMax));
  if (!machine.gpu) return {};
  TRY(within("bytes of the GPU", machine.gpu->memory_bytes, 0, 64 * kPlanBytesMax));
  return within("pinned bytes", machine.gpu->pinned_bytes, 0, 64 * kPlanBytesMax);
}

Result<> check_model(const Plan& plan, int64_t segment_alignment) {
  TRY(check_sizes(plan.memory));
  TRY(check_machine(plan.machine));
  TRY(check_limits(plan));
  TRY(check_segments(plan, segment_alignment));
  TRY(check_weights(plan));
  TRY(validate_program(plan));
  TRY(check_kv(plan));
  TRY(check_work(plan.memory));
  TRY(check_values(plan));
  return check_choices(plan);
}

Result<> check_frames(const FleetPlan& fleet) {
  if (!fleet.pages()) {
    TRY(equal("frames", fleet.frames, 0));
    return equal("bytes of a frame", fleet.frame_bytes, 0);
  }
  TRY(within("bytes of a frame", fleet.frame_bytes, kSegmentAlignment, int64_t{1} << 30));
  if (!std::has_single_bit(static_cast<uint64_t>(fleet.frame_bytes))) {
    return fail("frames of " + std::to_string(fleet.frame_bytes) + " bytes, no power of two");
  }
  return within("frames", fleet.frames, 1,
                std::min<int64_t>(kPlanBytesMax / fleet.frame_bytes, INT32_MAX));
}

Result<> check_allocations(const FleetPlan& fleet) {
  TRY(equal("allocations", std::ssize(fleet.allocations), std::ssize(fleet.models)));
  for (const Allocation& allocation : fleet.allocations) {
    for (const int32_t group : allocation.together) {
      TRY(within("group of models", group, 0, kPlanGroupsMax));
    }
    for (const int64_t us : allocation.onload_us) {
      TRY(within("time that weights take", us, 0, INT64_MAX));
    }
  }
  const bool all_stay = fleet.residency == Residency::kAllStay;
  if (all_stay != fleet.pages()) return {};
  return fail("weights that stay share frames, or such that go have none");
}

/// The fleet's arenas are those of its models.
Result<> check_sums(const FleetPlan& fleet) {
  MemoryPlan sum;
  for (const Plan& model : fleet.models) {
    if (model.memory.arenas_on_host != fleet.memory.arenas_on_host ||
        model.device != fleet.models.front().device) {
      return fail("its models are on different devices");
    }
    sum.weights += model.memory.weights;
    sum.kv += model.memory.kv;
    sum.activations += model.memory.activations;
    sum.scratch += model.memory.scratch;
    sum.shared = std::max(sum.shared, model.memory.shared);
    sum.host += model.memory.host;
    sum.kv_host += model.memory.kv_host;
  }
  if (fleet.pages()) sum.weights = fleet.frames * fleet.frame_bytes;
  TRY(equal("weights of all models", fleet.memory.weights, sum.weights));
  TRY(equal("KV pages of all models", fleet.memory.kv, sum.kv));
  TRY(equal("activations of all models", fleet.memory.activations, sum.activations));
  TRY(equal("scratch of all models", fleet.memory.scratch, sum.scratch));
  TRY(equal("memory that models take in turn", fleet.memory.shared, sum.shared));
  TRY(equal("host memory of all models", fleet.memory.host, sum.host));
  return equal("KV pages of all models on the host", fleet.memory.kv_host, sum.kv_host);
}

}  // namespace

Result<> validate(const FleetPlan& fleet) {
  TRY(within("plan: models", std::ssize(fleet.models), 1, kPlanModelsMax));
  auto checked = check_frames(fleet);
  if (checked) checked = check_sizes(fleet.memory);
  if (checked) checked = check_allocations(fleet);
  if (checked) checked = within("budget", fleet.budget_bytes, 0, INT64_MAX);
  if (!checked) return tl::unexpected(with_context(std::move(checked).error(), "plan"));
  const int64_t alignment = fleet.pages() ? fleet.frame_bytes : kSegmentAlignment;
  for (const Plan& model : fleet.models) {
    auto sound = check_model(model, alignment);
    if (sound) continue;
    return tl::unexpected(
        with_context(std::move(sound).error(), "plan: model " + model.program.name));
  }
  checked = check_sums(fleet);
  if (!checked) return tl::unexpected(with_context(std::move(checked).error(), "plan"));
  return {};
}

}  // namespace neuros::plan
