#pragma once

/// Physical memory apart from addresses: kernel arguments, graphs and programs hold addresses that
/// never change, while the memory behind them comes and goes.

#include "base/result.h"
#include "device/device.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace neuros::device {

class AddressRange;

/// A device's memory in frames of one size, all of them the pool's from its creation on. Its
/// functions may be called by several threads at a time.
class FramePool {
 public:
  virtual ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  size_t frame_bytes() const { return frame_bytes_; }
  size_t frames() const { return frames_; }
  size_t free_frames() const;
  /// Addresses with no memory behind them, rounded up to whole frames. The pool outlives the range.
  base::Result<std::unique_ptr<AddressRange>> reserve_addresses(size_t bytes,
                                                                const std::string& what);

 protected:
  /// Whether a device can have frames of multiples of `least` bytes so.
  static base::Result<> check(const FramePoolOptions& options, size_t least);
  /// `give_back` returns the memory to the device's budget.
  FramePool(std::string device, FramePoolOptions options, std::function<void()> give_back);

  friend class AddressRange;
  using FrameIds = std::span<const uint32_t>;
  virtual base::Result<std::byte*> reserve(size_t bytes) = 0;
  virtual void release(std::byte* addresses, size_t bytes) = 0;
  /// Puts frames behind as many addresses from `at` on; on an error none.
  virtual base::Result<> map(std::byte* at, FrameIds frames) = 0;
  virtual base::Result<> unmap(std::byte* at, FrameIds frames) = 0;
  const std::string& device() const { return device_; }

 private:
  base::Result<std::vector<uint32_t>> take(size_t count, const std::string& what);
  void give(FrameIds frames);

  const std::string device_;
  const size_t frame_bytes_, frames_;
  const std::function<void()> give_back_;
  mutable std::mutex mutex_;
  std::vector<uint32_t> free_;  ///< guarded by mutex_
};

/// Addresses that stay where they are, with or without memory. Several threads may map and unmap
/// different parts of it at a time.
class AddressRange {
 public:
  ~AddressRange();  ///< nothing may use the memory any more
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return frames_.size() * pool_.frame_bytes(); }
  std::span<std::byte> span() const { return {data_, size()}; }
  const FramePool& pool() const { return pool_; }

  /// Puts memory behind a part that has none; what it holds is undefined. All or nothing:
  /// kOutOfMemory says how many frames were asked for and how many are free. Offset and bytes are
  /// multiples of pool().frame_bytes().
  base::Result<> map(size_t offset, size_t bytes);
  /// Gives the memory of a part that has some back to the pool; nothing may use it any more.
  base::Result<> unmap(size_t offset, size_t bytes);
  /// Whether all of the part has memory.
  bool is_mapped(size_t offset, size_t bytes) const;

 private:
  friend class FramePool;
  static constexpr uint32_t kNoFrame = UINT32_MAX;

  AddressRange(FramePool& pool, std::string what, std::byte* data, size_t frames);
  void check_part(size_t offset, size_t bytes) const;
  /// The frames behind a part.
  std::span<uint32_t> part(size_t offset, size_t bytes);

  FramePool& pool_;
  const std::string what_;
  std::byte* const data_;
  std::vector<uint32_t> frames_;  ///< kNoFrame: no memory there
};

}  // namespace neuros::device
