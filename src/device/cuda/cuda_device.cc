#include "device/cuda_device.h"

#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_frame_pool.h"
#include "device/cuda/cuda_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <cuda_runtime.h>

namespace neuros::device {
namespace {

std::string mib(size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

class CudaDevice final : public Device {
 public:
  CudaDevice(CudaDeviceInfo info, size_t memory_bytes)
      : info_(std::move(info)), memory_bytes_(memory_bytes), pinned_(info_.index) {}

  std::string name() const override { return "cuda:" + std::to_string(info_.index); }
  std::string kind() const override {
    return gpu_kind(info_.compute_capability, info_.multiprocessors);
  }
  size_t memory_bytes() const override { return memory_bytes_; }
  bool memory_is_host() const override { return false; }

  base::Result<Buffer> reserve(size_t bytes, const std::string& what) override {
    if (bytes == 0) return Buffer();
    if (bytes > memory_bytes_ - reserved_) return out_of_memory(bytes, what);
    TRY(cuda_result(cudaSetDevice(info_.index), name()));
    void* address = nullptr;
    if (cudaMalloc(&address, bytes) != cudaSuccess) {
      cudaGetLastError();  // it is reported here and must not stay
      return out_of_memory(bytes, what);
    }
    reserved_ += bytes;
    Buffer buffer(this, static_cast<std::byte*>(address), bytes);
    TRY(cuda_result(cudaMemset(address, 0, bytes), name() + ": " + what));
    // The zeros come in their own time, and our streams do not wait for them.
    TRY(cuda_result(cudaStreamSynchronize(nullptr), name() + ": " + what));
    return buffer;
  }

  base::Result<Buffer> reserve_host(size_t bytes, const std::string& what) override {
    if (bytes == 0) return Buffer();
    return pinned_.reserve(bytes, what);
  }

  base::Result<std::unique_ptr<FramePool>> create_frame_pool(FramePoolOptions options,
                                                             const std::string& what) override {
    if (options.frames > (memory_bytes_ - reserved_) / std::max<size_t>(1, options.frame_bytes)) {
      return out_of_memory(options.frames * options.frame_bytes, what);
    }
    const size_t bytes = options.frames * options.frame_bytes;
    auto pool = create_cuda_frame_pool(info_.index, options, [this, bytes] { reserved_ -= bytes; });
    if (pool) {
      reserved_ += bytes;
    } else if (pool.error().kind == base::ErrorKind::kOutOfMemory) {
      return out_of_memory(bytes, what);
    }
    return pool;
  }

  base::Result<std::unique_ptr<Stream>> create_stream(StreamOptions options) override {
    return CudaStream::create(info_.index, options);
  }

 protected:
  void release(std::byte* data, size_t bytes) override {
    cudaFree(data);
    reserved_ -= bytes;
  }

 private:
  /// Pinned memory goes back another way than the device's.
  class PinnedMemory final : public Device {
   public:
    /// `device`: whose context it belongs to.
    explicit PinnedMemory(int device) : device_(device) {}
    std::string name() const override { return "pinned host memory"; }
    size_t memory_bytes() const override { return SIZE_MAX; }
    base::Result<Buffer> reserve(size_t bytes, const std::string& what) override {
      TRY(cuda_result(cudaSetDevice(device_), name()));
      void* address = nullptr;
      TRY(cuda_result(cudaHostAlloc(&address, bytes, cudaHostAllocDefault),
                      "pinned host memory: " + what + ": " + mib(bytes)));
      std::memset(address, 0, bytes);
      return Buffer(this, static_cast<std::byte*>(address), bytes);
    }
    base::Result<std::unique_ptr<Stream>> create_stream(StreamOptions /*options*/) override {
      return base::fail("pinned host memory runs nothing");
    }

   protected:
    void release(std::byte* data, size_t /*bytes*/) override { cudaFreeHost(data); }

   private:
    int device_;
  };

  tl::unexpected<base::Error> out_of_memory(size_t bytes, const std::string& what) const {
    size_t free = 0, total = 0;
    cudaSetDevice(info_.index);
    cudaMemGetInfo(&free, &total);
    return base::fail(name() + ": " + what + ": asked for " + mib(bytes) + ", of the budget of " +
                          mib(memory_bytes_) + " " + mib(memory_bytes_ - reserved_) +
                          " are left, the device has " + mib(free) + " free of " + mib(total),
                      base::ErrorKind::kOutOfMemory);
  }

  CudaDeviceInfo info_;
  size_t memory_bytes_;
  size_t reserved_ = 0;
  PinnedMemory pinned_;
};

std::string pci_bus_id(int index) {
  char id[32] = "";
  if (cudaDeviceGetPCIBusId(id, sizeof id, index) != cudaSuccess) cudaGetLastError();
  return id;
}

CudaDeviceInfo describe(int index, const cudaDeviceProp& properties) {
  return {.index = index,
          .name = properties.name,
          .compute_capability = 10 * properties.major + properties.minor,
          .multiprocessors = properties.multiProcessorCount,
          .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem),
          .l2_bytes = properties.l2CacheSize,
          .shared_bytes_per_multiprocessor =
              static_cast<int64_t>(properties.sharedMemPerMultiprocessor),
          .shared_bytes_per_block = static_cast<int64_t>(properties.sharedMemPerBlockOptin),
          .pci_bus_id = pci_bus_id(index)};
}

base::Result<CudaDeviceInfo> find_device(int index) {
  const std::string name = "cuda:" + std::to_string(index);
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {  // of a machine without one, too
    return base::fail(name + ": no NVIDIA driver, or one older than CUDA " +
                          std::to_string(CUDART_VERSION / 1000) + " needs",
                      base::ErrorKind::kNotFound);
  }
  if (error != cudaSuccess) {
    return base::fail(name + ": " + cudaGetErrorString(error), base::ErrorKind::kNotFound);
  }
  if (index < 0 || index >= count) {
    return base::fail(name + ": this machine has " + std::to_string(count) + " GPUs",
                      base::ErrorKind::kNotFound);
  }
  cudaDeviceProp properties{};
  TRY(cuda_result(cudaGetDeviceProperties(&properties, index), name));
  return describe(index, properties);
}

}  // namespace

std::vector<CudaDeviceInfo> cuda_devices() {
  std::vector<CudaDeviceInfo> devices;
  for (int index = 0;; ++index) {
    auto device = find_device(index);
    if (!device) return devices;
    devices.push_back(std::move(*device));
  }
}

base::Result<std::unique_ptr<Device>> open_cuda_device(CudaDeviceOptions options) {
  CudaDeviceInfo info = TRY(find_device(options.index));
  const std::string name = "cuda:" + std::to_string(options.index);
  TRY(cuda_result(cudaSetDevice(options.index), name));
  size_t free = 0, total = 0;
  TRY(cuda_result(cudaMemGetInfo(&free, &total), name));
  const size_t memory = options.memory_bytes > 0 ? options.memory_bytes : free;
  return std::make_unique<CudaDevice>(std::move(info), memory);
}

}  // namespace neuros::device
