#include "formats/gguf_header.h"

#include "formats/gguf.h"
#include "formats/printable.h"
#include "formats/tensor_bytes.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <type_traits>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

/// Keys whose integers other readers expect in a width that the value alone does not tell.
struct KeyWidth {
  std::string_view key;
  GgufValueType type;
};
constexpr KeyWidth kKeyWidths[] = {
    {"split.no", GgufValueType::kU16},
    {"split.count", GgufValueType::kU16},
    {"split.tensors.count", GgufValueType::kI32},
    {"tokenizer.ggml.precompiled_charsmap", GgufValueType::kU8},
};

struct IntegerRange {
  int64_t least = 0;
  int64_t most = 0;
};

bool holds(GgufValueType type, IntegerRange range) {
  const auto within = [&](auto tag) {
    using Limits = std::numeric_limits<decltype(tag)>;
    return range.least >= int64_t{Limits::min()} && range.most <= int64_t{Limits::max()};
  };
  switch (type) {
    case GgufValueType::kU8:
      return within(uint8_t{});
    case GgufValueType::kU16:
      return within(uint16_t{});
    case GgufValueType::kU32:
      return within(uint32_t{});
    case GgufValueType::kI32:
      return within(int32_t{});
    default:
      return true;
  }
}

GgufValueType integer_type(std::string_view key, IntegerRange range, GgufValueType usual) {
  for (const KeyWidth& width : kKeyWidths) {
    if (width.key == key && holds(width.type, range)) return width.type;
  }
  if (holds(usual, range)) return usual;
  if (holds(GgufValueType::kI32, range)) return GgufValueType::kI32;
  return GgufValueType::kI64;
}

/// Appends little-endian values to a string.
class Encoder {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_type(GgufValueType type) { put(static_cast<uint32_t>(type)); }
  void put_string(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  void pad(uint64_t alignment) { bytes_.resize(align_up(bytes_.size(), alignment), '\0'); }

  void put_integer(GgufValueType type, int64_t value) {
    switch (type) {
      case GgufValueType::kU8:
        return put(static_cast<uint8_t>(value));
      case GgufValueType::kU16:
        return put(static_cast<uint16_t>(value));
      case GgufValueType::kU32:
        return put(static_cast<uint32_t>(value));
      case GgufValueType::kI32:
        return put(static_cast<int32_t>(value));
      default:
        return put(value);
    }
  }

  void put_pair(std::string_view key, const MetadataValue& value) {
    put_string(key);
    std::visit([&](const auto& held) { put_value(key, held); }, value);
  }

  std::string take() { return std::move(bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void put_value(std::string_view, bool value) {
    put_type(GgufValueType::kBool);
    put(static_cast<uint8_t>(value));
  }
  void put_value(std::string_view key, int64_t value) {
    const auto type = integer_type(key, {value, value}, GgufValueType::kU32);
    put_type(type);
    put_integer(type, value);
  }
  void put_value(std::string_view, double value) {
    put_type(GgufValueType::kF32);
    put(static_cast<float>(value));
  }
  void put_value(std::string_view, const std::string& value) {
    put_type(GgufValueType::kString);
    put_string(value);
  }
  void put_value(std::string_view key, const MetadataArray& array) {
    put_type(GgufValueType::kArray);
    std::visit([&](const auto& values) { put_elements(key, values); }, array.values);
  }

  void put_array_head(GgufValueType type, size_t count) {
    put_type(type);
    put(static_cast<uint64_t>(count));
  }
  void put_elements(std::string_view, const std::vector<bool>& values) {
    put_array_head(GgufValueType::kBool, values.size());
    for (const bool value : values) put(static_cast<uint8_t>(value));
  }
  void put_elements(std::string_view key, const std::vector<int64_t>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const auto range = values.empty() ? IntegerRange{} : IntegerRange{*least, *most};
    const auto type = integer_type(key, range, GgufValueType::kI32);
    put_array_head(type, values.size());
    for (const int64_t value : values) put_integer(type, value);
  }
  void put_elements(std::string_view, const std::vector<double>& values) {
    put_array_head(GgufValueType::kF32, values.size());
    for (const double value : values) put(static_cast<float>(value));
  }
  void put_elements(std::string_view, const std::vector<std::string>& values) {
    put_array_head(GgufValueType::kString, values.size());
    for (const std::string& value : values) put_string(value);
  }

  std::string bytes_;
};

bool is_copied(std::string_view key) {
  return key != kGgufAlignmentKey;
}

Result<> check_name(const std::string& name) {
  if (name.size() <= kGgufNameBytesMax) return {};
  return fail(printable(name) + ": name of " + std::to_string(name.size()) + " bytes, limit " +
              std::to_string(kGgufNameBytesMax));
}

Result<uint64_t> checked_bytes(const TensorDeclaration& tensor) {
  const std::string what = "tensor " + printable(tensor.name);
  TRY(check_name(tensor.name));
  if (tensor.shape.size() > kGgufDimensionsMax)
    return fail(what + ": " + std::to_string(tensor.shape.size()) + " dimensions, limit 4");
  for (const int64_t extent : tensor.shape) {
    if (extent < 1)
      return fail(what + ": extent " + std::to_string(extent) + ", expected 1 or more");
  }
  const auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
  if (!bytes) return tl::unexpected(base::with_context(bytes.error(), what));
  return static_cast<uint64_t>(*bytes);
}

Result<> check_declarations(const Metadata& metadata,
                            const std::vector<TensorDeclaration>& tensors) {
  for (const auto& [key, value] : metadata.all()) TRY(check_name(key));
  std::set<std::string_view> names;
  for (const TensorDeclaration& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      return fail("tensor " + printable(tensor.name) + " is declared twice");
  }
  return {};
}

void put_tensor_info(Encoder& encoder, const TensorDeclaration& tensor, uint64_t offset) {
  encoder.put_string(tensor.name);
  encoder.put(static_cast<uint32_t>(tensor.shape.size()));
  for (size_t i = tensor.shape.size(); i-- > 0;)
    encoder.put(static_cast<uint64_t>(tensor.shape[i]));
  encoder.put(base::info(tensor.dtype).ggml_id);
  encoder.put(offset);
}

}  // namespace

Result<GgufHeader> encode_gguf_header(const Metadata& metadata,
                                      const std::vector<TensorDeclaration>& tensors) {
  TRY(check_declarations(metadata, tensors));
  const auto keys = std::count_if(metadata.all().begin(), metadata.all().end(),
                                  [](const auto& pair) { return is_copied(pair.first); });
  Encoder encoder;
  for (const char c : kGgufMagic) encoder.put(c);
  encoder.put(kGgufVersion);
  encoder.put(static_cast<uint64_t>(tensors.size()));
  encoder.put(static_cast<uint64_t>(keys));
  for (const auto& [key, value] : metadata.all()) {
    if (is_copied(key)) encoder.put_pair(key, value);
  }
  GgufHeader header;
  uint64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    const uint64_t bytes = TRY(checked_bytes(tensor));
    put_tensor_info(encoder, tensor, offset);
    header.tensor_bytes.push_back(bytes);
    if (__builtin_add_overflow(offset, align_up(bytes, kGgufAlignment), &offset))
      return fail("tensor " + printable(tensor.name) + ": file of more than 2^64 bytes");
  }
  encoder.pad(kGgufAlignment);
  header.bytes = encoder.take();
  header.file_bytes = header.bytes.size() + offset;
  return header;
}

}  // namespace neuros::formats
