#pragma once

/// The host as a device with memory of its own, whose copies are made as late as they may be.

#include "base/check.h"
#include "device/cpu/cpu_device.h"
#include "device/device.h"
#include "device/frame_pool.h"

#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

namespace neuros::testing {

/// Copies when somebody waits, so that memory used again too early shows. Several threads may give
/// work and wait.
class FarStream final : public device::Stream {
 public:
  ~FarStream() override { CHECK(copies_.empty(), "somebody waited for all copies"); }

  base::Result<> synchronize() override {
    const std::lock_guard lock(mutex_);
    copy_until(given_);
    return {};
  }
  void copy(std::byte* to, const std::byte* from, size_t bytes) override {
    const std::lock_guard lock(mutex_);
    copies_.push_back({to, from, bytes});
    ++given_;
  }
  std::unique_ptr<device::Event> create_event() override {
    return std::make_unique<FarEvent>(*this);
  }

 private:
  struct Copy {
    std::byte* to;
    const std::byte* from;
    size_t bytes;
  };
  class FarEvent final : public device::Event {
   public:
    explicit FarEvent(FarStream& stream) : stream_(stream) {}
    void record() override {
      const std::lock_guard lock(stream_.mutex_);
      point_ = stream_.given_;
    }
    base::Result<> wait() override {
      const std::lock_guard lock(stream_.mutex_);
      stream_.copy_until(point_);
      return {};
    }

   private:
    FarStream& stream_;
    size_t point_ = 0;
  };

  void copy_until(size_t point) {
    for (; done_ < point; ++done_, copies_.pop_front()) {
      std::memcpy(copies_.front().to, copies_.front().from, copies_.front().bytes);
    }
  }

  std::mutex mutex_;  ///< guards what follows
  std::deque<Copy> copies_;
  size_t given_ = 0, done_ = 0;
};

class FarDevice final : public device::Device {
 public:
  explicit FarDevice(size_t memory_bytes)
      : host_(std::move(*device::open_cpu_device({.threads = 1, .memory_bytes = memory_bytes}))) {}

  std::string name() const override { return "far"; }
  size_t memory_bytes() const override { return host_->memory_bytes(); }
  bool memory_is_host() const override { return false; }
  base::Result<device::Buffer> reserve(size_t bytes, const std::string& what) override {
    return host_->reserve(bytes, what);
  }
  base::Result<std::unique_ptr<device::Stream>> create_stream(
      device::StreamOptions /*options*/) override {
    return std::make_unique<FarStream>();
  }
  base::Result<std::unique_ptr<device::FramePool>> create_frame_pool(
      device::FramePoolOptions options, const std::string& what) override {
    return host_->create_frame_pool(options, what);
  }

 protected:
  void release(std::byte*, size_t) override { CHECK(false, "buffers are the host's"); }

 private:
  std::unique_ptr<device::Device> host_;
};

}  // namespace neuros::testing
