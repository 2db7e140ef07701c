#pragma once

/// Host memory for KV pages that leave the device: how much, and whose.

#include "base/result.h"
#include "builder/builder.h"
#include "plan/plan.h"

#include <cstdint>
#include <span>

namespace neuros::builder {

/// Of one model; more than any machine holds.
inline constexpr int64_t kKvHostPagesMost = 1 << 24;

/// What of a budget for the device's arenas is the host tier's: all of it where the device's memory
/// is the host's. A request that leaves nothing is an error.
base::Result<int64_t> budget_besides_kv_host(int64_t memory_bytes, const KvHostRequest& request,
                                             const kernels::OpTable& ops);

/// Gives models that run in one process their host tiers, in whole pages and in proportion to their
/// KV arenas, and says why so much. An amount that the host does not have is an error.
base::Result<> grant_kv_host(const KvHostRequest& request, int64_t host_bytes,
                             std::span<plan::Plan> models);

}  // namespace neuros::builder
