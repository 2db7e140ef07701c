#pragma once

/// A place where models run: its memory, and the order in which it does things.
/// The CPU is a device whose memory is the host's; CUDA devices implement the same seam.

#include "base/function_ref.h"
#include "base/result.h"
#include "device/event.h"
#include "device/stopwatch.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace neuros::base {
class ThreadPool;
}

namespace neuros::device {

class Device;
class FramePool;

/// Reserved device memory; returned on destruction. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device* device, std::byte* data, size_t bytes)
      : device_(device), data_(data), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }
  std::span<std::byte> span() const { return {data_, bytes_}; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Work in order. On the CPU everything is done when a call returns, by the stream's workers.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Makes the stream's device that of the calling thread: before the thread runs ops on it.
  virtual void bind_thread() {}
  /// Returns when all work is done; the first error of any of it, which then stays.
  virtual base::Result<> synchronize() = 0;
  /// Copies between host and device memory, either way. Host memory stays as it is until the work
  /// is done; from Device::reserve_host() it moves at full speed and beside the host's own work.
  virtual void copy(std::byte* to, const std::byte* from, size_t bytes) = 0;
  /// Does `work`, which under the same key always launches the same kernels with the same
  /// arguments: a device may call it once more to record it, and from then on replay that.
  virtual void run_recorded(uint64_t key, base::FunctionRef<void()> work) {
    static_cast<void>(key);
    work();
  }
  /// In the work of run_recorded(): what has been launched so far may be replayed by itself, so
  /// that the device begins while it is still being given the rest.
  virtual void cut_recording() {}
  /// A stopwatch for this stream, which outlives it.
  virtual std::unique_ptr<Stopwatch> create_stopwatch() {
    return std::make_unique<HostStopwatch>();
  }
  /// A point in this stream's work; the stream outlives it.
  virtual std::unique_ptr<Event> create_event() { return std::make_unique<Event>(); }
  /// What this stream is given from now on begins after an event of another stream of the device.
  /// Where streams cannot wait for each other, the caller waits.
  virtual void wait_for(Event& event) { static_cast<void>(event.wait()); }
  /// Workers of a CPU stream; null on other devices.
  virtual base::ThreadPool* cpu_workers() { return nullptr; }
  /// The backend's own handle (cudaStream_t); null on the CPU.
  virtual void* native_handle() { return nullptr; }
};

struct StreamOptions {
  enum class Priority { kLow, kNormal };
  Priority priority = Priority::kNormal;  ///< low: copies beside the work of other streams
};

/// Physical memory in frames of one size (device/frame_pool.h).
struct FramePoolOptions {
  size_t frame_bytes = 0;  ///< a power of two; 64 KiB at least, on a GPU 2 MiB
  size_t frames = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string name() const = 0;  ///< "cpu", "cuda:0"
  /// What measurements of it hold for, as in "sm_90/132": architecture and multiprocessors of a
  /// GPU. "": nobody keeps any.
  virtual std::string kind() const { return ""; }
  /// Memory this device may use for models, bytes.
  virtual size_t memory_bytes() const = 0;
  /// Committed and zeroed memory, aligned to 64 bytes or better. kOutOfMemory says what was asked
  /// and what is free.
  virtual base::Result<Buffer> reserve(size_t bytes, const std::string& what) = 0;
  virtual base::Result<std::unique_ptr<Stream>> create_stream(StreamOptions options) = 0;
  base::Result<std::unique_ptr<Stream>> create_stream() { return create_stream(StreamOptions{}); }
  /// Counts against memory_bytes() as long as it lives; the device outlives it. Errors as
  /// reserve()'s; kUnsupported where addresses cannot be had without memory.
  virtual base::Result<std::unique_ptr<FramePool>> create_frame_pool(FramePoolOptions options,
                                                                     const std::string& what);
  /// Whether what reserve() gives is memory that the host reads and writes like its own.
  virtual bool memory_is_host() const { return true; }
  /// Host memory for copies to and from this device: pinned where that is faster. Zeroed.
  virtual base::Result<Buffer> reserve_host(size_t bytes, const std::string& what) {
    return reserve(bytes, what);
  }

 protected:
  friend class Buffer;
  virtual void release(std::byte* data, size_t bytes) = 0;
};

}  // namespace neuros::device
