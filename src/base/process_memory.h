#pragma once

#include <cstdint>

namespace neuros::base {

/// What the kernel holds in memory for this process, bytes; all 0 where /proc is missing.
struct ProcessMemory {
  int64_t resident = 0;  ///< anonymous and file pages
  int64_t peak = 0;      ///< most that was resident at one time since the process began
  int64_t anonymous = 0;
  int64_t mapped_files = 0;
};

ProcessMemory process_memory();

/// Gives pages of the heap that hold nothing any more back to the kernel. Takes milliseconds.
void release_free_heap();

}  // namespace neuros::base
