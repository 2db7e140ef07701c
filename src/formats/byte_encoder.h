#pragma once

/// Appends little-endian values to bytes; the inverse of ByteCursor.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace neuros::formats {

static_assert(std::endian::native == std::endian::little, "values are written as they are");

class ByteEncoder {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_integral_v<T>);
    append(std::as_bytes(std::span(&value, 1)));
  }
  /// Its length, then itself.
  void text(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    raw(text);
  }
  void raw(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }
  /// Zeros up to a multiple of `alignment`.
  void pad(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
  }
  template <typename T>
  void patch(size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  void append(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }
  std::vector<std::byte> bytes_;
};

}  // namespace neuros::formats
