#include "device/device.h"

#include "device/frame_pool.h"

#include <utility>

namespace neuros::device {

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (device_ != nullptr) device_->release(data_, bytes_);
}

base::Result<std::unique_ptr<FramePool>> Device::create_frame_pool(FramePoolOptions /*options*/,
                                                                   const std::string& what) {
  return base::fail(name() + ": " + what + ": no addresses without memory here",
                    base::ErrorKind::kUnsupported);
}

}  // namespace neuros::device
