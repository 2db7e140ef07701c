#pragma once

/// Offline: a program and a machine in, a plan out. The plan names every byte that boot reserves.

#include "base/dtype.h"
#include "base/result.h"
#include "builder/work_bytes.h"
#include "formats/checkpoint.h"
#include "kernels/choice_table.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace neuros::builder {

/// No model is planned for a shorter context unless one is asked for.
inline constexpr int32_t kContextLeast = 256;

/// Types by name of tensor. Only a matrix of floats can become another type; what its author has
/// quantised stays as it is.
using WeightTypes = std::map<std::string, base::DType, std::less<>>;

/// Host memory for KV pages that leave the device, of all models of a process together.
struct KvHostRequest {
  /// nullopt leaves it to the builder: for a GPU as much as its KV pages take, at most an eighth of
  /// the host's memory, and none if that is not free; none for a CPU.
  std::optional<int64_t> bytes{};
  int64_t free_bytes = 0;  ///< of the host
};

/// What is wanted; 0 leaves the choice to the builder.
struct PlanRequest {
  std::string device = "cpu";
  std::string device_kind{};  ///< Device::kind()
  /// Kernel choices in place of those the table of ops ships; outlives the call.
  const std::vector<kernels::ChoiceRow>* choices = nullptr;
  int32_t workers = 1;
  int64_t memory_bytes = 0;   ///< budget for all arenas (not the rest); must be given
  int32_t context = 0;        ///< positions of one sequence; default: trained context, at most 8192
  int32_t batch_tokens = 0;   ///< default 512, on a GPU 2048
  int32_t sequences = 0;      ///< default 64
  int32_t full_contexts = 0;  ///< that the KV pages hold, memory permitting; default 4
  base::DType kv_dtype = base::DType::kF16;
  WeightTypes weight_types{};       ///< of matrices that do not keep the type of the file
  int64_t extra_scratch_bytes = 0;  ///< device memory on top of what the program needs
  /// Whose memory activations and scratch lie in that no step of a pass leaves to the next one:
  /// shared where other models of the device take turns.
  plan::Region step_memory = plan::Region::kOwn;
  KvHostRequest kv_host{};  ///< counts against the budget where the device's memory is the host's
  /// What segments begin at multiples of: of a model that is paged, the size of a frame of memory.
  int64_t segment_alignment = plan::kSegmentAlignment;
  plan::MachineFacts machine = {};  ///< planned for; what is not known there is not checked at boot
};

/// Negotiates context, sequences and KV pages until everything fits the budget, in this order:
/// fewer KV pages (down to one full context), then a shorter context where it was not asked for.
/// Infeasible: kOutOfMemory with what is needed at least. The same inputs give the same plan.
base::Result<plan::Plan> make_plan(const formats::Checkpoint& checkpoint, plan::Program program,
                                   const kernels::OpTable& ops, const PlanRequest& request);

/// What make_plan would reserve for `plan`, made by it with
/// `request`, if that asked for this context and so much room for keys and values.
WorkBytes work_bytes_for(plan::Plan plan, const kernels::OpTable& ops, PlanRequest request,
                         int32_t context, int32_t full_contexts);
/// Full contexts that the KV pages of a plan hold.
int32_t full_contexts_of(const plan::Plan& plan);

}  // namespace neuros::builder
