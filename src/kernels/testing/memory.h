#pragma once

#include <memory_resource>

namespace neuros::kernels::testing {

/// Where test buffers lie: memory that every device of this machine reads and writes. With a GPU it
/// is pinned host memory, so that one test serves all tables.
std::pmr::memory_resource& buffer_memory();

}  // namespace neuros::kernels::testing
