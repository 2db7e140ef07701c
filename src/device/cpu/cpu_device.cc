#include "device/cpu/cpu_device.h"

#include "base/thread_pool.h"
#include "device/cpu/cpu_frame_pool.h"
#include "device/cpu/topology.h"
#include "device/host_memory.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <sys/mman.h>

namespace neuros::device {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

class CpuStream final : public Stream {
 public:
  explicit CpuStream(base::ThreadPoolOptions options) : pool_(std::move(options)) {}
  base::Result<> synchronize() override { return {}; }
  void copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  base::ThreadPool* cpu_workers() override { return &pool_; }

 private:
  base::ThreadPool pool_;
};

std::string mib(size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

class CpuDevice final : public Device {
 public:
  CpuDevice(int threads, std::vector<int> cpus, size_t memory_bytes)
      : threads_(threads), cpus_(std::move(cpus)), memory_bytes_(memory_bytes) {}

  std::string name() const override { return "cpu"; }
  size_t memory_bytes() const override { return memory_bytes_; }

  base::Result<Buffer> reserve(size_t bytes, const std::string& what) override {
    if (bytes == 0) return Buffer();
    if (bytes > memory_bytes_ - reserved_) return out_of_memory(bytes, what);
    void* address =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return out_of_memory(bytes, what);
    if (bytes >= kHugePageBytes) ::madvise(address, bytes, MADV_HUGEPAGE);
    ::madvise(address, bytes, MADV_POPULATE_WRITE);  // older kernels: pages come on first touch
    reserved_ += bytes;
    return Buffer(this, static_cast<std::byte*>(address), bytes);
  }

  base::Result<std::unique_ptr<FramePool>> create_frame_pool(FramePoolOptions options,
                                                             const std::string& what) override {
    if (options.frames > (memory_bytes_ - reserved_) / std::max<size_t>(1, options.frame_bytes)) {
      return out_of_memory(options.frames * options.frame_bytes, what);
    }
    const size_t bytes = options.frames * options.frame_bytes;
    auto pool = TRY(create_cpu_frame_pool(options, [this, bytes] { reserved_ -= bytes; }));
    reserved_ += bytes;
    return pool;
  }

  base::Result<std::unique_ptr<Stream>> create_stream(StreamOptions options) override {
    // Copies are made by who asks for them.
    if (options.priority == StreamOptions::Priority::kLow) {
      return std::make_unique<CpuStream>(base::ThreadPoolOptions{});
    }
    return std::make_unique<CpuStream>(
        base::ThreadPoolOptions{.threads = threads_, .cpus = cpus_, .spin_us = 200});
  }

 protected:
  void release(std::byte* data, size_t bytes) override {
    ::munmap(data, bytes);
    reserved_ -= bytes;
  }

 private:
  tl::unexpected<base::Error> out_of_memory(size_t bytes, const std::string& what) const {
    return base::fail("cpu: " + what + ": asked for " + mib(bytes) + ", free " +
                          mib(memory_bytes_ - reserved_) + " of " + mib(memory_bytes_),
                      base::ErrorKind::kOutOfMemory);
  }

  int threads_;
  std::vector<int> cpus_;
  size_t memory_bytes_;
  size_t reserved_ = 0;
};

}  // namespace

std::vector<int> physical_cores() {
  return read_topology().core_cpus;
}

base::Result<std::unique_ptr<Device>> open_cpu_device(CpuDeviceOptions options) {
  std::vector<int> cores = physical_cores();
  if (options.threads < 0) {
    return base::fail("threads: " + std::to_string(options.threads) + ", expected 1 or more");
  }
  const int threads = options.threads > 0 ? options.threads : static_cast<int>(cores.size());
  if (threads > static_cast<int>(cores.size())) cores.clear();  // more than cores: let the OS place
  const auto available = static_cast<size_t>(host_available_bytes());
  const size_t memory = options.memory_bytes > 0 ? options.memory_bytes : available;
  return std::make_unique<CpuDevice>(threads, std::move(cores), memory);
}

}  // namespace neuros::device
