#include "formats/safetensors_reader.h"

#include "formats/byte_cursor.h"
#include "formats/json_text.h"
#include "formats/printable.h"
#include "formats/tensor_bytes.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::formats {
namespace {

using base::DType;
using base::fail;
using base::Result;
using nlohmann::json;

constexpr uint64_t kHeaderBytesMax = 100'000'000;
constexpr int kHeaderDepthMax = 8;
constexpr size_t kDimensionsMax = 8;

struct ElementType {
  std::string_view name;
  std::optional<DType> dtype;  ///< none: checked, then left out
  int64_t bytes = 0;
};
constexpr ElementType kElementTypes[] = {
    {"F32", DType::kF32, 4}, {"F16", DType::kF16, 2}, {"BF16", DType::kBF16, 2},
    {"I8", DType::kI8, 1},   {"I16", DType::kI16, 2}, {"I32", DType::kI32, 4},
    {"I64", DType::kI64, 8}, {"BOOL", {}, 1},         {"U8", {}, 1},
    {"U16", {}, 2},          {"U32", {}, 4},          {"U64", {}, 8},
};

struct Entry {
  std::string name;
  ElementType type;
  base::Shape shape;
  uint64_t begin = 0;  ///< byte offsets from the end of the header
  uint64_t end = 0;
};

std::string label(const std::string& name) {
  return "tensor " + printable(name);
}

Result<uint64_t> offset_of(const json& value, const std::string& what) {
  if (!value.is_number_unsigned()) return fail(what + ": data_offsets holds " + json_type(value));
  return value.get<uint64_t>();
}

Result<ElementType> element_type(const json& value, const std::string& what) {
  if (!value.is_string()) return fail(what + ": dtype is " + json_type(value));
  const auto& name = value.get_ref<const std::string&>();
  for (const ElementType& type : kElementTypes) {
    if (type.name == name) return type;
  }
  return fail(what + ": element type " + printable(name) + " is not supported",
              base::ErrorKind::kUnsupported);
}

Result<base::Shape> shape_of(const json& value, const std::string& what) {
  if (!value.is_array()) return fail(what + ": shape is " + json_type(value));
  if (value.size() > kDimensionsMax) {
    return fail(what + ": " + std::to_string(value.size()) + " dimensions, limit " +
                std::to_string(kDimensionsMax));
  }
  base::Shape shape;
  for (const json& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > uint64_t{INT64_MAX})
      return fail(what + ": shape holds " + json_type(extent));
    shape.push_back(extent.get<int64_t>());
  }
  return shape;
}

/// Bytes of `shape` in elements of `bytes_each`; extents may be 0.
Result<uint64_t> bytes_of(const base::Shape& shape, int64_t bytes_each, const std::string& what) {
  const DType like = bytes_each == 1   ? DType::kI8
                     : bytes_each == 2 ? DType::kI16
                     : bytes_each == 4 ? DType::kI32
                                       : DType::kI64;
  const auto bytes = tensor_bytes(like, shape);
  if (!bytes) return tl::unexpected(base::with_context(bytes.error(), what));
  return static_cast<uint64_t>(*bytes);
}

Result<Entry> read_entry(const std::string& name, const json& value, uint64_t data_bytes) {
  const std::string what = label(name);
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets"))
    return fail(what + ": expected exactly dtype, shape and data_offsets");
  Entry entry;
  entry.name = name;
  entry.type = TRY(element_type(value["dtype"], what));
  entry.shape = TRY(shape_of(value["shape"], what));
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2)
    return fail(what + ": data_offsets is not a pair");
  entry.begin = TRY(offset_of(offsets[0], what));
  entry.end = TRY(offset_of(offsets[1], what));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return fail(what + ": bytes " + std::to_string(entry.begin) + " to " +
                std::to_string(entry.end) + ", file has " + std::to_string(data_bytes));
  }
  const uint64_t expected = TRY(bytes_of(entry.shape, entry.type.bytes, what));
  if (entry.end - entry.begin != expected) {
    return fail(what + ": " + std::to_string(entry.end - entry.begin) + " bytes, expected " +
                std::to_string(expected) + " for " + std::string(entry.type.name) + " " +
                base::to_string(entry.shape));
  }
  return entry;
}

Result<> check_own_metadata(const json& value) {
  if (!value.is_object()) return fail("__metadata__ is " + json_type(value));
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      return fail("__metadata__: " + printable(key) + " is " + json_type(text));
  }
  return {};
}

/// Sorted by offset, the entries must cover the data without overlap or hole.
Result<> check_cover(std::vector<Entry>& entries, uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      return fail(label(entry.name) + ": begins at byte " + std::to_string(entry.begin) +
                  (entry.begin < expected ? ", overlaps" : ", leaves a hole") + ", expected " +
                  std::to_string(expected));
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return fail("tensors end at byte " + std::to_string(expected) + ", file has " +
                std::to_string(data_bytes));
  }
  return {};
}

Result<std::vector<Entry>> read_entries(const json& header, uint64_t data_bytes) {
  std::vector<Entry> entries;
  entries.reserve(header.size());
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      TRY(check_own_metadata(value));
    } else {
      entries.push_back(TRY(read_entry(name, value, data_bytes)));
    }
  }
  TRY(check_cover(entries, data_bytes));
  return entries;
}

Result<TensorMap> parse(std::span<const std::byte> bytes) {
  ByteCursor cursor(bytes);
  const auto header_bytes = TRY(cursor.read<uint64_t>("header length"));
  if (header_bytes > kHeaderBytesMax) {
    return fail("header of " + std::to_string(header_bytes) + " bytes, limit " +
                std::to_string(kHeaderBytesMax));
  }
  const auto raw = TRY(cursor.take(header_bytes, "header"));
  const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
  if (!text.starts_with('{')) return fail("header does not begin with {");
  const json header = TRY(parse_json_object(text, kHeaderDepthMax));
  const auto data = bytes.subspan(cursor.offset());
  auto entries = TRY(read_entries(header, data.size()));
  TensorMap tensors;
  for (Entry& entry : entries) {
    if (!entry.type.dtype) continue;
    const auto view = data.subspan(entry.begin, entry.end - entry.begin);
    tensors.emplace(std::move(entry.name),
                    base::TensorView{*entry.type.dtype, std::move(entry.shape), view});
  }
  return tensors;
}

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

}  // namespace

Result<TensorMap> parse_safetensors(std::span<const std::byte> bytes) {
  auto tensors = parse(bytes);
  if (!tensors) return tl::unexpected(base::with_context(tensors.error(), "safetensors"));
  return tensors;
}

Result<std::map<std::string, std::string, std::less<>>> parse_safetensors_index(
    std::string_view text) {
  const json root = TRY(parse_json_object(text, kHeaderDepthMax));
  const auto weights = root.find("weight_map");
  if (weights == root.end() || !weights->is_object()) return fail("weight_map is missing");
  std::map<std::string, std::string, std::less<>> files;
  for (const auto& [name, file] : weights->items()) {
    if (!file.is_string() || !is_plain_file_name(file.get_ref<const std::string&>()))
      return fail("weight_map: " + printable(name) + ": not a plain file name");
    files.emplace(name, file.get<std::string>());
  }
  return files;
}

}  // namespace neuros::formats
