#include "runtime/weight_source.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::runtime {
namespace {

using plan::WeightPlacement;

base::Result<> check_file(const WeightPlacement& weight, const base::TensorView& tensor) {
  if (tensor.dtype != weight.dtype || tensor.cols() != weight.cols ||
      tensor.rows() != weight.rows ||
      static_cast<int64_t>(tensor.bytes.size()) != weight.file_bytes) {
    return base::fail("boot: tensor " + weight.name + ": " + std::string(base::name(tensor.dtype)) +
                      " " + base::to_string(tensor.shape) + ", the plan expects " +
                      std::string(base::name(weight.dtype)) + " " +
                      base::to_string({weight.rows, weight.cols}));
  }
  return {};
}

const base::MappedFile* file_of(const formats::Checkpoint& checkpoint,
                                std::span<const std::byte> bytes) {
  for (const base::MappedFile& file : checkpoint.files) {
    if (file.contains(bytes)) return &file;
  }
  return nullptr;
}

void cut(const WeightPlacement& weight, std::span<const std::byte> bytes,
         const base::MappedFile* file, std::vector<SourcePart>& parts) {
  const int64_t row_bytes = weight.rows > 0 ? weight.file_bytes / weight.rows : 0;
  const int64_t part_rows = plan::source_part_rows(weight);
  for (int64_t first = 0; first < weight.rows; first += part_rows) {
    const int64_t rows = std::min(part_rows, weight.rows - first);
    parts.push_back({&weight, first, rows,
                     bytes.subspan(static_cast<size_t>(first * row_bytes),
                                   static_cast<size_t>(rows * row_bytes)),
                     file});
  }
}

}  // namespace

base::Result<std::vector<SourcePart>> list_source_parts(const plan::Plan& plan,
                                                        const formats::Checkpoint& checkpoint) {
  std::vector<SourcePart> parts;
  for (const WeightPlacement& weight : plan.weights) {
    const base::TensorView tensor = TRY(checkpoint.tensor(weight.name));
    TRY(check_file(weight, tensor));
    cut(weight, tensor.bytes, file_of(checkpoint, tensor.bytes), parts);
  }
  return parts;
}

WeightSource::WeightSource(std::vector<SourcePart> parts) : parts_(std::move(parts)) {
  for (const SourcePart& part : parts_) {
    if (part.file != nullptr) place_bytes_ = std::max(place_bytes_, part.bytes.size());
  }
  if (place_bytes_ == 0) return;
  places_ = std::min<size_t>(parts_.size(), plan::kSourceParts);
  memory_ = std::make_unique_for_overwrite<std::byte[]>(places_ * place_bytes_);
  pipeline_.emplace(parts_.size(), disk_threads(), [this](size_t index) { return fill(index); });
}

std::byte* WeightSource::place_of(size_t index) const {
  return memory_.get() + index % places_ * place_bytes_;
}

base::Result<> WeightSource::fill(size_t index) {
  const SourcePart& part = parts_[index];
  return part.file == nullptr ? base::Result<>() : part.file->read(part.bytes, place_of(index));
}

base::Result<std::span<const std::byte>> WeightSource::take(size_t index) {
  const SourcePart& part = parts_[index];
  if (!pipeline_) return part.bytes;
  pipeline_->allow(index + places_);
  TRY(pipeline_->wait_for(index));
  if (part.file == nullptr) return part.bytes;
  return std::span<const std::byte>(place_of(index), part.bytes.size());
}

}  // namespace neuros::runtime
