#include "device/frame_pool.h"

#include "base/check.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace neuros::device {

base::Result<> FramePool::check(const FramePoolOptions& options, size_t least) {
  if (std::has_single_bit(options.frame_bytes) && options.frame_bytes >= least &&
      options.frames > 0 && options.frames < UINT32_MAX) {
    return {};
  }
  return base::fail("frames: " + std::to_string(options.frames) + " of " +
                    std::to_string(options.frame_bytes) + " bytes, expected a power of two from " +
                    std::to_string(least) + " on");
}

FramePool::FramePool(std::string device, FramePoolOptions options, std::function<void()> give_back)
    : device_(std::move(device)),
      frame_bytes_(options.frame_bytes),
      frames_(options.frames),
      give_back_(std::move(give_back)),
      free_(options.frames) {
  std::iota(free_.rbegin(), free_.rend(), 0U);  // the first are taken first
}

FramePool::~FramePool() {
  CHECK(free_.size() == frames_, "no range outlives its pool");
  give_back_();
}

size_t FramePool::free_frames() const {
  const std::lock_guard lock(mutex_);
  return free_.size();
}

base::Result<std::unique_ptr<AddressRange>> FramePool::reserve_addresses(size_t bytes,
                                                                         const std::string& what) {
  CHECK(bytes > 0);
  const size_t frames = (bytes + frame_bytes_ - 1) / frame_bytes_;
  auto addresses = reserve(frames * frame_bytes_);
  if (!addresses) {
    return tl::unexpected(base::with_context(std::move(addresses).error(), device_ + ": " + what));
  }
  return std::unique_ptr<AddressRange>(new AddressRange(*this, what, *addresses, frames));
}

base::Result<std::vector<uint32_t>> FramePool::take(size_t count, const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (count > free_.size()) {
    return base::fail(device_ + ": " + what + ": asked for " + std::to_string(count) +
                          " frames of " + std::to_string(frame_bytes_ >> 10) + " KiB, free " +
                          std::to_string(free_.size()) + " of " + std::to_string(frames_),
                      base::ErrorKind::kOutOfMemory);
  }
  std::vector<uint32_t> taken(free_.rbegin(), free_.rbegin() + static_cast<ptrdiff_t>(count));
  free_.resize(free_.size() - count);
  return taken;
}

void FramePool::give(FrameIds frames) {
  const std::lock_guard lock(mutex_);
  free_.insert(free_.end(), frames.begin(), frames.end());
}

AddressRange::AddressRange(FramePool& pool, std::string what, std::byte* data, size_t frames)
    : pool_(pool), what_(std::move(what)), data_(data), frames_(frames, kNoFrame) {}

AddressRange::~AddressRange() {
  const size_t frame = pool_.frame_bytes();
  for (size_t begin = 0; begin < frames_.size();) {
    const bool has_frame = frames_[begin] != kNoFrame;
    size_t end = begin + 1;
    while (end < frames_.size() && (frames_[end] != kNoFrame) == has_frame) ++end;
    const size_t offset = begin * frame, bytes = (end - begin) * frame;
    // An error is one of the device, whose memory nobody uses any more.
    if (has_frame && !unmap(offset, bytes)) pool_.give(part(offset, bytes));
    begin = end;
  }
  pool_.release(data_, size());
}

void AddressRange::check_part(size_t offset, size_t bytes) const {
  const size_t frame = pool_.frame_bytes();
  CHECK(offset % frame == 0 && bytes % frame == 0 && offset <= size() && bytes <= size() - offset,
        "whole frames of the range");
}

std::span<uint32_t> AddressRange::part(size_t offset, size_t bytes) {
  check_part(offset, bytes);
  return std::span(frames_).subspan(offset / pool_.frame_bytes(), bytes / pool_.frame_bytes());
}

base::Result<> AddressRange::map(size_t offset, size_t bytes) {
  const std::span<uint32_t> places = part(offset, bytes);
  CHECK(std::ranges::all_of(places, [](uint32_t id) { return id == kNoFrame; }), "mapped twice");
  if (bytes == 0) return {};
  const std::vector<uint32_t> taken = TRY(pool_.take(places.size(), what_));
  if (auto mapped = pool_.map(data_ + offset, taken); !mapped) {
    pool_.give(taken);
    return tl::unexpected(
        base::with_context(std::move(mapped).error(), pool_.device() + ": " + what_));
  }
  std::ranges::copy(taken, places.begin());
  return {};
}

base::Result<> AddressRange::unmap(size_t offset, size_t bytes) {
  const std::span<uint32_t> places = part(offset, bytes);
  CHECK(is_mapped(offset, bytes), "unmapped without memory");
  if (bytes == 0) return {};
  if (auto unmapped = pool_.unmap(data_ + offset, places); !unmapped) {
    return tl::unexpected(
        base::with_context(std::move(unmapped).error(), pool_.device() + ": " + what_));
  }
  pool_.give(places);
  std::ranges::fill(places, kNoFrame);
  return {};
}

bool AddressRange::is_mapped(size_t offset, size_t bytes) const {
  check_part(offset, bytes);
  const auto places =
      std::span(frames_).subspan(offset / pool_.frame_bytes(), bytes / pool_.frame_bytes());
  return std::ranges::none_of(places, [](uint32_t id) { return id == kNoFrame; });
}

}  // namespace neuros::device
