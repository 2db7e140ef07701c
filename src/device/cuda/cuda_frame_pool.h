#pragma once

#include "device/frame_pool.h"

#include <functional>
#include <memory>

namespace neuros::device {

/// Frames of a GPU: allocations of the driver's virtual memory management, made at once.
base::Result<std::unique_ptr<FramePool>> create_cuda_frame_pool(int device,
                                                                FramePoolOptions options,
                                                                std::function<void()> give_back);

}  // namespace neuros::device
