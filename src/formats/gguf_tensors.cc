#include "formats/gguf_tensors.h"

#include "formats/gguf.h"
#include "formats/gguf_metadata.h"
#include "formats/printable.h"
#include "formats/tensor_bytes.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace neuros::formats {
namespace {

using base::DType;
using base::fail;
using base::Result;

std::string label(const GgufTensorInfo& info) {
  return "tensor " + printable(info.name);
}

Result<base::Shape> read_extents(ByteCursor& cursor, const std::string& what) {
  const auto dimensions = TRY(cursor.read<uint32_t>(what));
  if (dimensions > kGgufDimensionsMax) {
    return fail(what + ": " + std::to_string(dimensions) + " dimensions, limit " +
                std::to_string(kGgufDimensionsMax));
  }
  base::Shape shape(dimensions);
  for (size_t i = shape.size(); i-- > 0;) {
    const auto extent = TRY(cursor.read<uint64_t>(what));
    if (extent == 0 || extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return fail(what + ": extent " + std::to_string(extent) + ", expected 1 to 2^63-1");
    }
    shape[i] = static_cast<int64_t>(extent);
  }
  return shape;
}

Result<GgufTensorInfo> read_info(ByteCursor& cursor, uint64_t index) {
  GgufTensorInfo info;
  info.name =
      TRY(read_gguf_string(cursor, kGgufNameBytesMax, "name of tensor " + std::to_string(index)));
  const std::string what = label(info);
  info.shape = TRY(read_extents(cursor, what));
  info.type_id = TRY(cursor.read<uint32_t>(what));
  info.offset = TRY(cursor.read<uint64_t>(what));
  return info;
}

Result<DType> dtype_of(const GgufTensorInfo& info) {
  if (const auto dtype = base::dtype_from_ggml_id(info.type_id)) return *dtype;
  const std::string id = " (id " + std::to_string(info.type_id) + ")";
  const std::string_view name = base::ggml_type_name(info.type_id);
  if (name.empty()) return fail(label(info) + ": unknown element type" + id);
  return fail(label(info) + ": element type " + std::string(name) + id + " is not supported",
              base::ErrorKind::kUnsupported);
}

/// Places the tensors one after the other; two passes, because small Q2_0 tensors lean on others.
class Placer {
 public:
  Placer(std::vector<GgufTensorInfo> infos, std::span<const std::byte> data, uint64_t alignment)
      : infos_(std::move(infos)), data_(data), alignment_(alignment) {
    std::stable_sort(infos_.begin(), infos_.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
  }

  Result<std::map<std::string, base::TensorView, std::less<>>> place() {
    q2_0_layout_ = TRY(find_q2_0_layout());
    std::map<std::string, base::TensorView, std::less<>> views;
    uint64_t expected_offset = 0;
    for (size_t i = 0; i < infos_.size(); ++i) {
      TRY(check_offset(i, expected_offset));
      base::TensorView view = TRY(view_of(i));
      expected_offset = align_up(infos_[i].offset + view.bytes.size(), alignment_);
      views.emplace(std::move(infos_[i].name), std::move(view));
    }
    return views;
  }

 private:
  static constexpr uint32_t kQ2Id = 42;

  /// Bytes to the next tensor, or to the end of the file.
  uint64_t span_of(size_t i) const {
    const uint64_t end = i + 1 < infos_.size() ? infos_[i + 1].offset : data_.size();
    return end > infos_[i].offset ? end - infos_[i].offset : 0;
  }

  bool fits_span(size_t i, DType dtype) const {
    const auto bytes = tensor_bytes(dtype, infos_[i].shape);
    if (!bytes) return false;
    const auto exact = static_cast<uint64_t>(*bytes);
    return span_of(i) == exact || span_of(i) == align_up(exact, alignment_);
  }

  struct Fits {
    bool ggml = false;   ///< blocks of 64
    bool prism = false;  ///< blocks of 128
  };
  Fits q2_0_fits(size_t i) const {
    return {fits_span(i, DType::kQ2_0), fits_span(i, DType::kQ2_0_128)};
  }

  /// The layout that the file's unambiguous Q2_0 tensors share; none if they differ or none
  /// decides.
  Result<std::optional<DType>> find_q2_0_layout() const {
    Fits seen;
    for (size_t i = 0; i < infos_.size(); ++i) {
      if (infos_[i].type_id != kQ2Id) continue;
      const Fits fits = q2_0_fits(i);
      if (!fits.ggml && !fits.prism) return no_q2_0_layout_fits(i);
      seen.ggml |= fits.ggml && !fits.prism;
      seen.prism |= fits.prism && !fits.ggml;
    }
    if (seen.ggml == seen.prism) return std::optional<DType>();
    return std::optional<DType>(seen.ggml ? DType::kQ2_0 : DType::kQ2_0_128);
  }

  tl::unexpected<base::Error> no_q2_0_layout_fits(size_t i) const {
    const auto bytes_text = [&](DType dtype) {
      const auto bytes = tensor_bytes(dtype, infos_[i].shape);
      return bytes ? std::to_string(*bytes) + " bytes" : "rows are not whole blocks";
    };
    return fail(label(infos_[i]) + ": q2_0 " + base::to_string(infos_[i].shape) + " has " +
                std::to_string(span_of(i)) + " bytes, which fits neither blocks of 64 (" +
                bytes_text(DType::kQ2_0) + ") nor blocks of 128 (" + bytes_text(DType::kQ2_0_128) +
                ")");
  }

  Result<DType> q2_0_dtype(size_t i) const {
    const Fits fits = q2_0_fits(i);
    if (fits.ggml != fits.prism) return fits.ggml ? DType::kQ2_0 : DType::kQ2_0_128;
    if (q2_0_layout_) return *q2_0_layout_;
    return fail(label(infos_[i]) + ": q2_0 " + base::to_string(infos_[i].shape) +
                ": blocks of 64 and of 128 both fit its " + std::to_string(span_of(i)) +
                " bytes and no other tensor of the file decides between them");
  }

  Result<> check_offset(size_t i, uint64_t expected) const {
    const GgufTensorInfo& info = infos_[i];
    if (info.offset == expected) return {};
    const std::string at = label(info) + ": offset " + std::to_string(info.offset);
    if (info.offset % alignment_ != 0)
      return fail(at + " is not a multiple of the alignment " + std::to_string(alignment_));
    const std::string after = i == 0 ? "" : " (end of " + printable(previous_name_) + ")";
    return fail(at + (info.offset < expected ? " overlaps" : " leaves a hole") + ", expected " +
                std::to_string(expected) + after);
  }

  Result<base::TensorView> view_of(size_t i) {
    GgufTensorInfo& info = infos_[i];
    previous_name_ = info.name;
    const DType dtype = info.type_id == kQ2Id ? TRY(q2_0_dtype(i)) : TRY(dtype_of(info));
    const auto bytes = tensor_bytes(dtype, info.shape);
    if (!bytes) return base::fail(label(info) + ": " + bytes.error().message);
    const auto size = static_cast<uint64_t>(*bytes);
    if (info.offset > data_.size() || size > data_.size() - info.offset) {
      return fail(label(info) + ": " + std::to_string(size) + " bytes at offset " +
                  std::to_string(info.offset) + ", data section has " +
                  std::to_string(data_.size()));
    }
    return base::TensorView{dtype, info.shape, data_.subspan(info.offset, size)};
  }

  std::vector<GgufTensorInfo> infos_;  ///< by offset
  std::span<const std::byte> data_;
  uint64_t alignment_;
  std::optional<DType> q2_0_layout_;
  std::string previous_name_;
};

}  // namespace

Result<std::vector<GgufTensorInfo>> read_gguf_tensor_infos(ByteCursor& cursor, uint64_t count) {
  std::vector<GgufTensorInfo> infos;
  infos.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) infos.push_back(TRY(read_info(cursor, i)));
  std::set<std::string_view> names;
  for (const GgufTensorInfo& info : infos) {
    if (!names.insert(info.name).second) return fail(label(info) + " appears twice");
  }
  return infos;
}

Result<std::map<std::string, base::TensorView, std::less<>>> place_gguf_tensors(
    std::vector<GgufTensorInfo> infos, std::span<const std::byte> data, uint64_t alignment) {
  return Placer(std::move(infos), data, alignment).place();
}

}  // namespace neuros::formats
