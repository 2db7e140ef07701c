#pragma once

#include <cstdint>

namespace neuros::device {

/// Physical memory as the system counts it; a sum over NUMA nodes may lack what was added later.
int64_t host_memory_bytes();

/// What of it can be had now without taking it from others, as the system estimates.
int64_t host_available_bytes();

/// How much host memory may be pinned: seven eighths of the machine's memory, or of what the
/// process's control group may have. The rest must stay memory that the system can move and give
/// to others. RLIMIT_MEMLOCK is no limit: drivers pin past it.
int64_t pinned_limit_bytes();

}  // namespace neuros::device
