#include "runtime/weight_loading.h"

#include "runtime/kept_weights.h"
#include "runtime/packed_weights_io.h"
#include "runtime/weight_cache.h"
#include "runtime/weight_packing.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

namespace neuros::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

base::Result<LoadReport> read_entry(const KeptWeights& entry, const plan::Plan& plan,
                                    const WeightTarget& target, const OnLoadProgress& on_progress) {
  const PackedWeightsFile file = TRY(entry.open(plan));
  LoadReport report = TRY(load_packed_weights(plan, file, target, on_progress));
  report.from = LoadReport::From::kCache;
  return report;
}

base::Result<> keep(const KeptWeights& entry, const std::string& folder, const plan::Plan& plan,
                    const WeightTarget& target, const OnLoadProgress& on_progress) {
  TRY(WeightCache(folder).make_room(packed_weights_file_bytes(entry.label, plan)));
  return write_packed_weights(entry.path, entry.label, plan, target, on_progress);
}

/// Zeros, as it was reserved: what a damaged file left between weights must not be kept again.
base::Result<> clear(const WeightTarget& target) {
  if (target.device.memory_is_host()) {
    std::memset(target.arena.data(), 0, target.arena.size());
    return {};
  }
  constexpr size_t kPiece = size_t{4} << 20;
  const device::Buffer zeros = TRY(target.device.reserve_host(kPiece, "zeros"));
  for (size_t done = 0; done < target.arena.size(); done += kPiece) {
    const size_t bytes = std::min(kPiece, target.arena.size() - done);
    target.stream.copy(target.arena.data() + done, zeros.data(), bytes);
  }
  return target.stream.synchronize();
}

/// Loads one model, and collects what there is to say about it.
class Loading {
 public:
  Loading(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
          const kernels::OpTable& ops, const WeightTarget& target, const LoadOptions& options)
      : plan_(plan), checkpoint_(checkpoint), ops_(ops), target_(target), options_(options) {}

  base::Result<LoadReport> load() {
    find();
    const bool is_read = entry_ && TRY(read());
    if (!is_read) TRY(pack());
    if (entry_ && report_.from == LoadReport::From::kCheckpoint) keep_packed();
    report_.warnings = std::move(warnings_);
    return std::move(report_);
  }

 private:
  void find() {
    if (options_.weight_cache.empty()) return;
    auto entry = KeptWeights::find(plan_, checkpoint_, ops_, options_.weight_cache);
    if (entry) {
      entry_ = std::move(*entry);
    } else {
      warn(entry.error().message);
    }
  }
  /// Whether the cache had the weights.
  base::Result<bool> read();
  base::Result<> pack();
  void keep_packed();
  void warn(const std::string& text) { warnings_.push_back("weight cache: " + text); }

  const plan::Plan& plan_;
  const formats::Checkpoint& checkpoint_;
  const kernels::OpTable& ops_;
  const WeightTarget& target_;
  const LoadOptions& options_;
  std::optional<KeptWeights> entry_;
  LoadReport report_;
  std::vector<std::string> warnings_;
};

base::Result<bool> Loading::read() {
  auto read = read_entry(*entry_, plan_, target_, options_.on_progress);
  if (read) {
    report_ = std::move(*read);
    WeightCache::touch(entry_->path);
    return true;
  }
  if (read.error().kind == base::ErrorKind::kNotFound) return false;  // not kept yet
  if (read.error().kind == base::ErrorKind::kCancelled) return tl::unexpected(read.error());
  std::error_code ignored;
  const bool removed = std::filesystem::remove(entry_->path, ignored);
  warn(read.error().message + (removed ? "; it is thrown away and" : ";") +
       " the weights are packed again");
  TRY(clear(target_));
  return false;
}

base::Result<> Loading::pack() {
  const Clock::time_point start = Clock::now();
  TRY(pack_weights(plan_, checkpoint_, ops_, target_, options_.on_progress));
  report_.path = checkpoint_.path;
  for (const plan::WeightPlacement& weight : plan_.weights) report_.bytes += weight.file_bytes;
  report_.seconds = seconds_since(start);
  return {};
}

void Loading::keep_packed() {
  const Clock::time_point start = Clock::now();
  const auto kept = keep(*entry_, options_.weight_cache, plan_, target_, options_.on_progress);
  if (!kept) return warn(kept.error().message + "; the weights are not kept");
  report_.kept_as = entry_->path;
  report_.keep_seconds = seconds_since(start);
}

}  // namespace

base::Result<LoadReport> load_packed_weights(const plan::Plan& plan, const PackedWeightsFile& file,
                                             const WeightTarget& target,
                                             const OnLoadProgress& on_progress) {
  const Clock::time_point start = Clock::now();
  TRY(read_packed_weights(file, plan, target, on_progress));
  LoadReport report;
  report.from = LoadReport::From::kArtefact;
  report.path = file.file().path();
  report.bytes = static_cast<int64_t>(file.header().data_bytes());
  report.direct = file.file().is_direct();
  report.seconds = seconds_since(start);
  return report;
}

base::Result<LoadReport> load_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                      const kernels::OpTable& ops, const WeightTarget& target,
                                      const LoadOptions& options) {
  return Loading(plan, checkpoint, ops, target, options).load();
}

}  // namespace neuros::runtime
