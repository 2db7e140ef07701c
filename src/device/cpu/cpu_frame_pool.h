#pragma once

#include "device/frame_pool.h"

#include <functional>
#include <memory>

namespace neuros::device {

/// Frames of the host: a range is mapped without access, and the kernel is asked for pages when
/// frames are, so that no access faults later; they go back to it with them.
base::Result<std::unique_ptr<FramePool>> create_cpu_frame_pool(FramePoolOptions options,
                                                               std::function<void()> give_back);

}  // namespace neuros::device
