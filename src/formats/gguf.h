#pragma once

/// Constants of the GGUF format and the limits of its reader (docs/formats/gguf.md).

#include <cstdint>
#include <string_view>

namespace neuros::formats {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint32_t kGgufAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";

inline constexpr uint64_t kGgufTensorsMax = uint64_t{1} << 20;
inline constexpr uint64_t kGgufKeysMax = uint64_t{1} << 20;
inline constexpr uint64_t kGgufNameBytesMax = 65535;
inline constexpr uint64_t kGgufStringBytesMax = uint64_t{256} << 20;
inline constexpr uint64_t kGgufArrayElementsMax = uint64_t{1} << 24;
inline constexpr uint64_t kGgufArrayElementsTotalMax = uint64_t{1} << 26;
inline constexpr uint32_t kGgufDimensionsMax = 4;
inline constexpr uint64_t kGgufAlignmentMax = uint64_t{1} << 20;

/// Types of metadata values, numbered as in the file.
enum class GgufValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// `value` rounded up to a multiple of `alignment`, a power of two; must not overflow.
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace neuros::formats
