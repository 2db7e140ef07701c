#pragma once

/// The memory in which passes work: of every model what must stay from one step to the next, and
/// one region for the rest, which the models of a device take in turn.

#include "base/result.h"
#include "device/device.h"
#include "plan/plan.h"

#include <cstddef>
#include <span>
#include <vector>

namespace neuros::runtime {

/// Where the passes of one model work.
struct WorkMemory {
  std::span<std::byte> activations;  ///< values of plan::Region::kOwn
  std::span<std::byte> shared;       ///< those of kShared
  /// Begins with what the kernels keep, of the model's own, and ends with where they work. Where
  /// that is shared, what is in between is other models'.
  std::span<std::byte> scratch;
};

/// One reservation: what each model has of its own, one behind the other, then what all share, as
/// large as the largest user needs.
class WorkArena {
 public:
  /// Exactly activations and scratch of all plans and the largest `shared`.
  static base::Result<WorkArena> reserve(std::span<const plan::Plan* const> plans,
                                         device::Device& device);

  /// Of a plan by its index.
  const WorkMemory& of(size_t plan) const { return models_.at(plan); }

 private:
  WorkMemory take(const plan::Plan& plan, size_t at, size_t shared_at) const;

  device::Buffer buffer_;
  std::vector<WorkMemory> models_;
};

}  // namespace neuros::runtime
