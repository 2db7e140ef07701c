#pragma once

/// A checked little-endian reader over bytes in memory.

#include "base/result.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace neuros::formats {

static_assert(std::endian::native == std::endian::little, "file formats are read in place");

/// Walks from front to back; nothing is read beyond the end. `what` names the thing in the error.
class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  /// The next `sizeof(T)` bytes as a plain value.
  template <typename T>
  base::Result<T> read(std::string_view what) {
    if (remaining() < sizeof(T)) return cut_short(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  /// A view of the next `count` bytes.
  base::Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (remaining() < count) return cut_short(what, count);
    const auto taken = bytes_.subspan(offset_, static_cast<size_t>(count));
    offset_ += taken.size();
    return taken;
  }

  /// A u32 length and that many bytes.
  base::Result<std::string> text(std::string_view what) {
    const auto length = TRY(read<uint32_t>(what));
    const auto bytes = TRY(take(length, what));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  tl::unexpected<base::Error> cut_short(std::string_view what, uint64_t wanted) const {
    return base::fail(std::string(what) + ": needs " + std::to_string(wanted) +
                      " bytes at offset " + std::to_string(offset_) + ", file ends after " +
                      std::to_string(remaining()));
  }

  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
};

}  // namespace neuros::formats
