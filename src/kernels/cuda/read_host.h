#pragma once

/// Small data from the host's memory to the device's, in the order of a stream.

#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda {

/// As stream.copy(), by a kernel that reads the pinned host memory itself. A GPU has one engine for
/// copies from the host, and it takes them one after another: behind a layer's weights on their way
/// a pass would wait a millisecond for its few kilobytes. Addresses are multiples of 16, and so
/// many bytes as fill up the last 16 can be read and written.
void read_host(const OpContext& context, std::byte* to, const std::byte* pinned, int64_t bytes);

}  // namespace neuros::kernels::cuda
