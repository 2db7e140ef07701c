#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace neuros::text {

/// Walks the fields of one protobuf message (wire format of protocol buffers 2 and 3). Stops at the
/// first byte that breaks the format; nothing outside the given bytes is read.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : bytes_(bytes) {}

  struct Field {
    uint32_t number = 0;
    uint64_t value = 0;      ///< varint, or the bits of a fixed32 or fixed64
    std::string_view bytes;  ///< strings, bytes and messages

    bool flag() const { return value != 0; }
    /// An int32 is sign-extended to 64 bits on the wire.
    int32_t int32() const { return static_cast<int32_t>(static_cast<uint32_t>(value)); }
    float float32() const {
      const auto bits = static_cast<uint32_t>(value);
      float number;
      std::memcpy(&number, &bits, sizeof number);
      return number;
    }
  };

  /// The next field; nullopt at the end or where the format is broken.
  std::optional<Field> next() {
    if (bytes_.empty() || broken_) return std::nullopt;
    const auto tag = varint();
    if (!tag) return stop();
    Field field{static_cast<uint32_t>(*tag >> 3), 0, {}};
    switch (*tag & 7) {
      case 0:
        return with_value(field, varint());
      case 1:
        return with_value(field, fixed(8));
      case 2:
        return with_bytes(field);
      case 5:
        return with_value(field, fixed(4));
      default:
        return stop();
    }
  }

  bool broken() const { return broken_; }

 private:
  std::optional<Field> stop() {
    broken_ = true;
    return std::nullopt;
  }

  std::optional<Field> with_value(Field field, std::optional<uint64_t> value) {
    if (!value) return stop();
    field.value = *value;
    return field;
  }

  std::optional<Field> with_bytes(Field field) {
    const auto size = varint();
    if (!size || *size > bytes_.size()) return stop();
    field.bytes = bytes_.substr(0, *size);
    bytes_.remove_prefix(*size);
    return field;
  }

  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<uint64_t> fixed(size_t size) {
    if (bytes_.size() < size) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value |= uint64_t{static_cast<unsigned char>(bytes_[i])} << (8 * i);
    bytes_.remove_prefix(size);
    return value;
  }

  std::string_view bytes_;
  bool broken_ = false;
};

}  // namespace neuros::text
