#pragma once

/// Weights on their way to where kernels read them, a part at a time.

#include "base/function_ref.h"
#include "base/result.h"
#include "runtime/upload_ring.h"

#include <cstddef>
#include <functional>
#include <span>

namespace neuros::runtime {

/// Puts part `part` into `memory`, which has its size; called by several threads.
using FillPart = std::function<base::Result<>(size_t part, std::span<std::byte> memory)>;

/// Brings parts to their places on the device by way of the ring, or, without one, straight to
/// memory that is the host's too. Several threads fill; filling and copying overlap. `on_sent` is
/// told of each part, in order. The last copies may still be on their way when it returns, also
/// with an error: the first that filling or `on_sent` gave.
base::Result<> bring_parts(std::span<const std::span<std::byte>> places, UploadRing* ring,
                           const FillPart& fill,
                           base::FunctionRef<base::Result<>(size_t part)> on_sent);

}  // namespace neuros::runtime
