#include "runtime/weight_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace neuros::runtime {
namespace {

using plan::WeightPlacement;

base::Result<> check_tensor(const std::string& path, const WeightPlacement& weight,
                            const base::TensorView& tensor) {
  if (tensor.dtype != weight.file_dtype || tensor.cols() != weight.cols ||
      tensor.rows() != weight.rows ||
      static_cast<int64_t>(tensor.bytes.size()) != weight.file_bytes) {
    return base::fail(path + ": tensor " + weight.name + ": " +
                      std::string(base::name(tensor.dtype)) + " " + base::to_string(tensor.shape) +
                      ", the plan expects " + std::string(base::name(weight.file_dtype)) + " " +
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

/// Brings a part's pages from the disk and maps them; kernels before 5.14 do so at the first touch.
base::Result<> map(const SourcePart& part) {
  if (part.file == nullptr) return {};
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(part.bytes.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.bytes.data() + part.bytes.size());
  if (::madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_READ) == 0) return {};
  if (errno != EFAULT && errno != EIO) return {};
  return base::fail(part.file->path() + ": tensor " + part.weight->name +
                        ": cannot read: " + std::strerror(errno),
                    base::ErrorKind::kIo);
}

}  // namespace

base::Result<std::vector<SourcePart>> list_source_parts(const plan::Plan& plan,
                                                        const formats::Checkpoint& checkpoint) {
  std::vector<SourcePart> parts;
  for (const WeightPlacement& weight : plan.weights) {
    const base::TensorView tensor = TRY(checkpoint.tensor(weight.name));
    TRY(check_tensor(checkpoint.path, weight, tensor));
    cut(weight, tensor.bytes, file_of(checkpoint, tensor.bytes), parts);
  }
  return parts;
}

WeightSource::WeightSource(std::vector<SourcePart> parts)
    : parts_(std::move(parts)),
      pipeline_(parts_.size(), base::disk_threads(),
                [this](size_t index) { return map(parts_[index]); }) {}

base::Result<std::span<const std::byte>> WeightSource::take(size_t index) {
  if (index > 0 && parts_[index - 1].file != nullptr) {
    parts_[index - 1].file->drop(parts_[index - 1].bytes);
  }
  pipeline_.allow(index + plan::kSourceParts);
  TRY(pipeline_.wait_for(index));
  return parts_[index].bytes;
}

}  // namespace neuros::runtime
