#include "runtime/weight_packing.h"

#include "base/check.h"
#include "base/thread_pool.h"
#include "kernels/quantise.h"
#include "runtime/row_quantiser.h"
#include "runtime/weight_source.h"
#include "runtime/weight_staging.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace neuros::runtime {
namespace {

using plan::WeightPlacement;

/// Matrices are packed in ranges of this many rows (kernels/linear.h).
constexpr int64_t kPackRows = 16;
/// Ranges per worker, so that no worker waits long for the last.
constexpr int64_t kRangesPerWorker = 8;

base::Result<> check_place(const WeightPlacement& weight, const kernels::OpTable& ops,
                           size_t arena_bytes) {
  const bool is_matrix = weight.kind == WeightPlacement::Kind::kMatrix;
  if (is_matrix && (static_cast<int>(weight.dtype) >= base::kWeightDTypeCount ||
                    !ops.linear_for(weight.dtype))) {
    return base::fail("boot: tensor " + weight.name + ": " + ops.name + " has no kernel for type " +
                          std::string(base::name(weight.dtype)),
                      base::ErrorKind::kUnsupported);
  }
  const int64_t needed = is_matrix
                             ? ops.linear_for(weight.dtype).packed_bytes(weight.rows, weight.cols)
                             : base::bytes_of(base::DType::kF32, weight.cols);
  const auto end = weight.offset + weight.bytes;
  if (weight.offset < 0 || weight.offset % 64 != 0 || needed > weight.bytes ||
      end > static_cast<int64_t>(arena_bytes)) {
    return base::fail("boot: tensor " + weight.name + ": placed at " +
                      std::to_string(weight.offset) + " with " + std::to_string(weight.bytes) +
                      " bytes, needs " + std::to_string(needed) + " in an arena of " +
                      std::to_string(arena_bytes));
  }
  return {};
}

void pack_rows(const SourcePart& part, std::span<const std::byte> bytes,
               const kernels::LinearKernel& kernel, base::ThreadPool& workers, std::byte* packed) {
  const WeightPlacement& weight = *part.weight;
  const int64_t row_bytes = base::bytes_of(weight.dtype, weight.cols);
  const int64_t units = (part.rows + kPackRows - 1) / kPackRows;
  const int64_t grain = std::max<int64_t>(1, units / (kRangesPerWorker * workers.size()));
  workers.parallel_for(units, grain, [&](int64_t begin, int64_t end, int /*worker*/) {
    const int64_t first = begin * kPackRows, last = std::min(end * kPackRows, part.rows);
    kernel.pack(bytes.data() + first * row_bytes, weight.rows, weight.cols, part.first_row + first,
                last - first, packed);
  });
}

/// Brings parts of tensors to where their kernels read them.
class Packer {
 public:
  static base::Result<Packer> create(const kernels::OpTable& ops, const WeightTarget& target) {
    Packer packer(ops, target);
    if (!target.device.memory_is_host()) {
      packer.staging_ = TRY(WeightStaging::create(target.device, target.stream));
    }
    return packer;
  }

  base::Result<> pack(const SourcePart& part, std::span<const std::byte> source) {
    const WeightPlacement& weight = *part.weight;
    std::byte* place = target_.arena.data() + weight.offset;
    if (weight.kind == WeightPlacement::Kind::kVector) return copy_vector(weight, source, place);
    const kernels::LinearKernel& kernel = ops_.linear_for(weight.dtype);
    const std::span<const std::byte> bytes = quantiser_.convert(weight, source, part.rows);
    if (staging_) {
      return staging_->pack(kernel, bytes, part.rows, weight.cols,
                            place + kernel.packed_bytes(part.first_row, weight.cols));
    }
    base::ThreadPool* workers = target_.stream.cpu_workers();
    CHECK(workers != nullptr, "a stream on the host has workers");
    pack_rows(part, bytes, kernel, *workers, place);
    return {};
  }

  base::Result<> finish() { return staging_ ? staging_->finish() : base::Result<>(); }

 private:
  Packer(const kernels::OpTable& ops, const WeightTarget& target)
      : ops_(ops), target_(target), quantiser_(target.stream.cpu_workers()) {}

  base::Result<> copy_vector(const WeightPlacement& weight, std::span<const std::byte> bytes,
                             std::byte* place) {
    std::vector<float> values(static_cast<size_t>(weight.cols));
    kernels::dequantise(weight.file_dtype, bytes.data(), values);
    if (staging_) return staging_->copy(values, place);
    std::memcpy(place, values.data(), values.size() * sizeof(float));
    return {};
  }

  const kernels::OpTable& ops_;
  const WeightTarget& target_;
  std::optional<WeightStaging> staging_;
  RowQuantiser quantiser_;
};

}  // namespace

base::Result<> pack_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                            const kernels::OpTable& ops, const WeightTarget& target,
                            const OnLoadProgress& on_progress) {
  std::vector<SourcePart> parts = TRY(list_source_parts(plan, checkpoint));
  LoadProgress progress{.stage = "packing"};
  for (const WeightPlacement& weight : plan.weights) {
    TRY(check_place(weight, ops, target.arena.size()));
    progress.total_bytes += weight.file_bytes;
  }
  Packer packer = TRY(Packer::create(ops, target));
  WeightSource source(std::move(parts));
  for (size_t i = 0; i < source.parts().size(); ++i) {
    const std::span<const std::byte> bytes = TRY(source.take(i));
    TRY(packer.pack(source.parts()[i], bytes));
    progress.done_bytes += std::ssize(bytes);
    if (on_progress) TRY(on_progress(progress));
  }
  return packer.finish();
}

}  // namespace neuros::runtime
