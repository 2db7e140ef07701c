#include "runtime/weights.h"

#include "base/check.h"
#include "base/thread_pool.h"
#include "kernels/quantise.h"
#include "runtime/weight_staging.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

namespace neuros::runtime {
namespace {

using plan::WeightPlacement;

/// Matrices are packed in ranges of this many rows (kernels/linear.h).
constexpr int64_t kPackRows = 16;
/// Ranges per worker, so that no worker waits long for the last.
constexpr int64_t kRangesPerWorker = 8;

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

void pack_matrix(const WeightPlacement& weight, const kernels::LinearKernel& kernel,
                 const base::TensorView& tensor, base::ThreadPool& workers, std::byte* packed) {
  const int64_t row_bytes = base::bytes_of(weight.dtype, weight.cols);
  const int64_t units = (weight.rows + kPackRows - 1) / kPackRows;
  const int64_t grain = std::max<int64_t>(1, units / (kRangesPerWorker * workers.size()));
  workers.parallel_for(units, grain, [&](int64_t begin, int64_t end, int /*worker*/) {
    const int64_t first = begin * kPackRows, last = std::min(end * kPackRows, weight.rows);
    kernel.pack(tensor.bytes.data() + first * row_bytes, weight.rows, weight.cols, first,
                last - first, packed);
  });
}

/// Brings tensors to where their kernels read them.
class Loader {
 public:
  static base::Result<Loader> create(const kernels::OpTable& ops, const WeightTarget& target) {
    Loader loader(ops, target);
    if (!target.device.memory_is_host()) {
      loader.staging_ = TRY(WeightStaging::create(target.device, target.stream));
    }
    return loader;
  }

  base::Result<> load(const WeightPlacement& weight, const base::TensorView& tensor) {
    std::byte* place = target_.arena.data() + weight.offset;
    if (weight.kind == WeightPlacement::Kind::kVector) return load_vector(weight, tensor, place);
    const kernels::LinearKernel& kernel = ops_.linear_for(weight.dtype);
    if (staging_) return staging_->pack(kernel, tensor.bytes, weight.rows, weight.cols, place);
    base::ThreadPool* workers = target_.stream.cpu_workers();
    CHECK(workers != nullptr, "a stream on the host has workers");
    pack_matrix(weight, kernel, tensor, *workers, place);
    return {};
  }

  base::Result<> finish() { return staging_ ? staging_->finish() : base::Result<>(); }

 private:
  Loader(const kernels::OpTable& ops, const WeightTarget& target) : ops_(ops), target_(target) {}

  base::Result<> load_vector(const WeightPlacement& weight, const base::TensorView& tensor,
                             std::byte* place) {
    std::vector<float> values(static_cast<size_t>(weight.cols));
    kernels::dequantise(weight.dtype, tensor.bytes.data(), values);
    if (staging_) return staging_->copy(values, place);
    std::memcpy(place, values.data(), values.size() * sizeof(float));
    return {};
  }

  const kernels::OpTable& ops_;
  const WeightTarget& target_;
  std::optional<WeightStaging> staging_;
};

void drop_file_pages(const formats::Checkpoint& checkpoint, std::span<const std::byte> bytes) {
  for (const base::MappedFile& file : checkpoint.files) {
    const std::span<const std::byte> all = file.bytes();
    const bool inside = std::less_equal<>()(all.data(), bytes.data()) &&
                        std::less<>()(bytes.data(), all.data() + all.size());
    if (inside) file.drop(bytes);
  }
}

}  // namespace

base::Result<> load_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                            const kernels::OpTable& ops, const WeightTarget& target,
                            const std::function<void(double fraction)>& on_progress) {
  Loader loader = TRY(Loader::create(ops, target));
  int64_t total = 0, done = 0;
  for (const WeightPlacement& weight : plan.weights) total += weight.file_bytes;
  for (const WeightPlacement& weight : plan.weights) {
    const base::TensorView tensor = TRY(checkpoint.tensor(weight.name));
    TRY(check_file(weight, tensor));
    TRY(check_place(weight, ops, target.arena.size()));
    TRY(loader.load(weight, tensor));
    drop_file_pages(checkpoint, tensor.bytes);
    done += weight.file_bytes;
    if (on_progress) on_progress(static_cast<double>(done) / static_cast<double>(total));
  }
  return loader.finish();
}

WeightMap::WeightMap(const plan::Plan& plan, std::span<const std::byte> arena) : arena_(arena) {
  for (const WeightPlacement& weight : plan.weights) placements_.emplace(weight.name, &weight);
}

const WeightPlacement& WeightMap::find(const std::string& name) const {
  const auto it = placements_.find(name);
  CHECK(it != placements_.end(), "every weight of the program is placed");
  return *it->second;
}

kernels::PackedMatrix WeightMap::matrix(const plan::WeightRef& ref) const {
  const WeightPlacement& weight = find(ref.name);
  CHECK(weight.kind == WeightPlacement::Kind::kMatrix);
  return {weight.dtype, weight.rows, weight.cols, arena_.data() + weight.offset};
}

const float* WeightMap::vector(const plan::WeightRef& ref) const {
  if (!ref.exists()) return nullptr;
  const WeightPlacement& weight = find(ref.name);
  CHECK(weight.kind == WeightPlacement::Kind::kVector);
  return reinterpret_cast<const float*>(arena_.data() + weight.offset);
}

}  // namespace neuros::runtime
