#include "device/cuda/cuda_frame_pool.h"

#include "device/cuda/cuda_driver.h"
#include "device/cuda/cuda_error.h"

#include <string>
#include <utility>
#include <vector>

namespace neuros::device {
namespace {

CUdeviceptr address_of(const std::byte* at) {
  return reinterpret_cast<CUdeviceptr>(at);
}

/// Allocations without addresses; released on destruction.
class CudaFrames {
 public:
  CudaFrames(int device, const CudaDriver& driver) : driver_(driver) {
    properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties_.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
  }
  CudaFrames(CudaFrames&& other) noexcept
      : driver_(other.driver_),
        properties_(other.properties_),
        handles_(std::exchange(other.handles_, {})) {}
  CudaFrames& operator=(CudaFrames&&) = delete;
  ~CudaFrames() {
    for (const CUmemGenericAllocationHandle handle : handles_) driver_.release(handle);
  }

  base::Result<size_t> bytes_least() const {
    size_t bytes = 0;
    TRY(driver_.result(driver_.granularity(&bytes, &properties_, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                       "cuMemGetAllocationGranularity"));
    return bytes;
  }
  base::Result<> create(const FramePoolOptions& options) {
    handles_.reserve(options.frames);
    while (handles_.size() < options.frames) {
      CUmemGenericAllocationHandle handle = 0;
      TRY(driver_.result(driver_.create(&handle, options.frame_bytes, &properties_, 0),
                         "cuMemCreate: frame " + std::to_string(handles_.size()) + " of " +
                             std::to_string(options.frames)));
      handles_.push_back(handle);
    }
    return {};
  }
  CUmemGenericAllocationHandle operator[](uint32_t frame) const { return handles_[frame]; }
  const CUmemLocation& location() const { return properties_.location; }
  const CudaDriver& driver() const { return driver_; }

 private:
  const CudaDriver& driver_;
  CUmemAllocationProp properties_{};
  std::vector<CUmemGenericAllocationHandle> handles_;
};

class CudaFramePool final : public FramePool {
 public:
  CudaFramePool(CudaFrames frames, FramePoolOptions options, std::function<void()> give_back)
      : FramePool("cuda:" + std::to_string(frames.location().id), options, std::move(give_back)),
        handles_(std::move(frames)),
        driver_(handles_.driver()) {}

  static base::Result<> check(const FramePoolOptions& options, size_t least) {
    return FramePool::check(options, least);
  }

 protected:
  base::Result<std::byte*> reserve(size_t bytes) override {
    TRY(use_device());
    CUdeviceptr address = 0;
    TRY(driver_.result(driver_.address_reserve(&address, bytes, frame_bytes(), 0, 0),
                       "cuMemAddressReserve: " + std::to_string(bytes >> 20) + " MiB"));
    return reinterpret_cast<std::byte*>(address);
  }

  void release(std::byte* addresses, size_t bytes) override {
    driver_.address_free(address_of(addresses), bytes);
  }

  base::Result<> map(std::byte* at, FrameIds frames) override {
    TRY(use_device());
    auto mapped = map_each(at, frames);
    if (!mapped) return mapped;
    const CUmemAccessDesc access{.location = handles_.location(),
                                 .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    // One call for all of it: each takes a millisecond.
    auto allowed = driver_.result(
        driver_.set_access(address_of(at), frames.size() * frame_bytes(), &access, 1),
        "cuMemSetAccess");
    if (!allowed) static_cast<void>(unmap(at, frames));
    return allowed;
  }

  base::Result<> unmap(std::byte* at, FrameIds frames) override {
    TRY(use_device());
    return driver_.result(driver_.unmap(address_of(at), frames.size() * frame_bytes()),
                          "cuMemUnmap");
  }

 private:
  /// The driver works in the context of the thread's device.
  base::Result<> use_device() const {
    return cuda_result(cudaSetDevice(handles_.location().id), device());
  }

  base::Result<> map_each(std::byte* at, FrameIds frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      auto mapped = driver_.result(
          driver_.map(address_of(at) + i * frame_bytes(), frame_bytes(), 0, handles_[frames[i]], 0),
          "cuMemMap");
      if (mapped) continue;
      if (i > 0) static_cast<void>(unmap(at, frames.first(i)));
      return mapped;
    }
    return {};
  }

  const CudaFrames handles_;
  const CudaDriver& driver_;
};

}  // namespace

base::Result<std::unique_ptr<FramePool>> create_cuda_frame_pool(int device,
                                                                FramePoolOptions options,
                                                                std::function<void()> give_back) {
  const CudaDriver* driver = TRY(CudaDriver::get());
  TRY(cuda_result(cudaSetDevice(device), "cuda:" + std::to_string(device)));
  CudaFrames frames(device, *driver);
  const size_t least = TRY(frames.bytes_least());
  TRY(CudaFramePool::check(options, least));
  TRY(frames.create(options));
  return std::make_unique<CudaFramePool>(std::move(frames), options, std::move(give_back));
}

}  // namespace neuros::device
