#include "formats/gguf_metadata.h"

#include "formats/gguf.h"
#include "formats/printable.h"

#include <limits>
#include <type_traits>
#include <utility>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

/// Reads the values of one metadata section; counts array elements over all of them.
class MetadataReader {
 public:
  explicit MetadataReader(ByteCursor& cursor) : cursor_(cursor) {}

  Result<MetadataValue> value(const std::string& key) {
    key_ = "key " + printable(key);
    const auto type = static_cast<GgufValueType>(TRY(cursor_.read<uint32_t>(key_)));
    if (type == GgufValueType::kArray) return array();
    return dispatch(type, [&](auto tag) -> Result<MetadataValue> {
      return MetadataValue(TRY(element<decltype(tag)>()));
    });
  }

 private:
  /// Calls `f` with a default-made value of the C++ type that holds `type` in the file.
  template <typename F>
  Result<MetadataValue> dispatch(GgufValueType type, F f) {
    switch (type) {
      case GgufValueType::kU8:
        return f(uint8_t{});
      case GgufValueType::kI8:
        return f(int8_t{});
      case GgufValueType::kU16:
        return f(uint16_t{});
      case GgufValueType::kI16:
        return f(int16_t{});
      case GgufValueType::kU32:
        return f(uint32_t{});
      case GgufValueType::kI32:
        return f(int32_t{});
      case GgufValueType::kF32:
        return f(float{});
      case GgufValueType::kBool:
        return f(bool{});
      case GgufValueType::kString:
        return f(std::string{});
      case GgufValueType::kU64:
        return f(uint64_t{});
      case GgufValueType::kI64:
        return f(int64_t{});
      case GgufValueType::kF64:
        return f(double{});
      case GgufValueType::kArray:
        return fail(key_ + ": arrays of arrays are not supported", base::ErrorKind::kUnsupported);
    }
    return fail(key_ + ": value type " + std::to_string(static_cast<uint32_t>(type)) +
                ", expected 0 to 12");
  }

  /// The type that Metadata keeps for a stored type.
  template <typename Stored>
  using Kept =
      std::conditional_t<std::is_same_v<Stored, bool> || std::is_same_v<Stored, std::string>,
                         Stored,
                         std::conditional_t<std::is_floating_point_v<Stored>, double, int64_t>>;

  template <typename Stored>
  Result<Kept<Stored>> element() {
    if constexpr (std::is_same_v<Stored, std::string>) {
      return read_gguf_string(cursor_, kGgufStringBytesMax, key_);
    } else if constexpr (std::is_same_v<Stored, bool>) {
      const auto byte = TRY(cursor_.read<uint8_t>(key_));
      if (byte > 1) return fail(key_ + ": boolean " + std::to_string(byte) + ", expected 0 or 1");
      return byte == 1;
    } else {
      const Stored stored = TRY(cursor_.read<Stored>(key_));
      if constexpr (std::is_same_v<Stored, uint64_t>) {
        if (stored > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
          return fail(key_ + ": " + std::to_string(stored) + " is above 2^63-1");
      }
      return static_cast<Kept<Stored>>(stored);
    }
  }

  Result<MetadataValue> array() {
    const auto type = static_cast<GgufValueType>(TRY(cursor_.read<uint32_t>(key_)));
    const auto count = TRY(cursor_.read<uint64_t>(key_));
    return dispatch(type, [&](auto tag) { return elements<decltype(tag)>(count); });
  }

  template <typename Stored>
  Result<MetadataValue> elements(uint64_t count) {
    constexpr uint64_t kStoredBytesMin =
        std::is_same_v<Stored, std::string> ? sizeof(uint64_t) : sizeof(Stored);
    TRY(check_count(count, kStoredBytesMin));
    std::vector<Kept<Stored>> values;
    values.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; ++i) values.push_back(TRY(element<Stored>()));
    return MetadataValue(MetadataArray{std::move(values)});
  }

  Result<> check_count(uint64_t count, uint64_t bytes_each_min) {
    if (count > kGgufArrayElementsMax) {
      return fail(key_ + ": array of " + std::to_string(count) + " elements, limit " +
                  std::to_string(kGgufArrayElementsMax));
    }
    if (count > cursor_.remaining() / bytes_each_min) {
      return fail(key_ + ": array of " + std::to_string(count) + " elements, only " +
                  std::to_string(cursor_.remaining()) + " bytes left in the file");
    }
    array_elements_ += count;
    if (array_elements_ > kGgufArrayElementsTotalMax) {
      return fail(key_ + ": more than " + std::to_string(kGgufArrayElementsTotalMax) +
                  " array elements in all");
    }
    return {};
  }

  ByteCursor& cursor_;
  std::string key_;  ///< "key general.name", for errors
  uint64_t array_elements_ = 0;
};

}  // namespace

Result<std::string> read_gguf_string(ByteCursor& cursor, uint64_t bytes_max,
                                     std::string_view what) {
  const auto length = TRY(cursor.read<uint64_t>(what));
  if (length > bytes_max) {
    return fail(std::string(what) + ": string of " + std::to_string(length) + " bytes, limit " +
                std::to_string(bytes_max));
  }
  const auto bytes = TRY(cursor.take(length, what));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<Metadata> read_gguf_metadata(ByteCursor& cursor, uint64_t count) {
  Metadata metadata;
  MetadataReader reader(cursor);
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = TRY(read_gguf_string(cursor, kGgufNameBytesMax, "key " + std::to_string(i)));
    if (metadata.contains(key)) return fail("key " + printable(key) + " appears twice");
    MetadataValue value = TRY(reader.value(key));
    metadata.set(std::move(key), std::move(value));
  }
  return metadata;
}

}  // namespace neuros::formats
