/// How fast weights are paged, against what the memory and the disk give:
///
///   pager_bench [--device cuda|cpu] [--spec llama-8b:q4_k_m | --model FILE] [--folder DIR]
///               [--frame-mib 8] [--rounds 5]
///
/// First the time of mapping and unmapping each segment alone. Then, for each tier, all segments of
/// the model are loaded and dropped some times by the pager: the time of the whole model in the
/// fastest round, of which so much was mapping and so much copying (they overlap), its bytes in
/// that time, and their share of the tier's roof: one large copy from pinned memory, for disk what
/// O_DIRECT reads of the same file give. The synthetic model and the file of packed weights are
/// made in DIR where they are not there yet.

#include "base/cpu_features.h"
#include "builder/builder.h"
#include "builder/synth.h"
#include "device/frame_pool.h"
#include "device/open_device.h"
#include "device/read_rate.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "models/registry.h"
#include "runtime/pager.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
namespace runtime = neuros::runtime;
namespace plan = neuros::plan;

using neuros::device::AddressRange;
using neuros::device::Device;
using neuros::runtime::Pager;
using neuros::runtime::PagerReport;
using neuros::runtime::WeightTier;

constexpr size_t kCopyBytes = size_t{256} << 20;

struct Options {
  std::string device = "cuda", spec = "llama-8b:q4_k_m", model, folder = ".";
  int frame_mib = 8, rounds = 5;
};

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "pager_bench: %s\n", text.c_str());
  std::exit(1);
}

template <typename T>
T or_fail(neuros::base::Result<T> result) {
  if (!result) fail(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double best_seconds(int rounds, const std::function<void()>& work) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const double start = now_seconds();
    work();
    best = std::min(best, now_seconds() - start);
  }
  return best;
}

/// Bytes per second of one large copy from pinned memory.
double measure_copy_rate(Device& device) {
  const auto stream = or_fail(device.create_stream());
  const auto from = or_fail(device.reserve_host(kCopyBytes, "a copy's source"));
  const auto to = or_fail(device.reserve(kCopyBytes, "a copy's destination"));
  const double seconds = best_seconds(5, [&] {
    stream->copy(to.data(), from.data(), kCopyBytes);
    or_fail(stream->synchronize());
  });
  return static_cast<double>(kCopyBytes) / seconds;
}

std::string model_file(const Options& options) {
  if (!options.model.empty()) return options.model;
  std::string name = options.spec + ".gguf";
  std::ranges::replace(name, ':', '-');
  const std::string path = (fs::path(options.folder) / name).string();
  if (!fs::exists(path)) or_fail(neuros::builder::synthesise(options.spec, path, [](double) {}));
  return path;
}

const neuros::kernels::OpTable& ops_for(const Device& device) {
  if (device.memory_is_host()) return neuros::kernels::cpu_ops(neuros::base::detect_cpu());
  return *neuros::kernels::cuda_ops();
}

/// The model, and where its weights go.
struct Bench {
  explicit Bench(const Options& given)
      : options(given),
        device(or_fail(neuros::device::open_device(options.device, {}))),
        ops(ops_for(*device)),
        checkpoint(or_fail(neuros::formats::open_checkpoint(model_file(options)))),
        frame_bytes(static_cast<size_t>(options.frame_mib) << 20),
        copy_rate(measure_copy_rate(*device)) {
    neuros::builder::PlanRequest request{
        .device = options.device,
        .memory_bytes = static_cast<int64_t>(device->memory_bytes()),
        .segment_alignment = static_cast<int64_t>(frame_bytes)};
    auto program = or_fail(neuros::models::make_program(checkpoint));
    model = or_fail(neuros::builder::make_plan(checkpoint, std::move(program), ops, request));
    const auto bytes = static_cast<size_t>(model.memory.weights);
    pool = or_fail(device->create_frame_pool({frame_bytes, bytes / frame_bytes}, "weights"));
    range = or_fail(pool->reserve_addresses(bytes, "weights"));
  }

  int64_t weight_bytes() const {
    int64_t bytes = 0;
    for (const plan::SegmentPlacement& segment : model.segments) bytes += segment.bytes;
    return bytes;
  }

  Options options;
  std::unique_ptr<Device> device;
  const neuros::kernels::OpTable& ops;
  neuros::formats::Checkpoint checkpoint;
  size_t frame_bytes;
  double copy_rate;
  plan::Plan model;
  std::unique_ptr<neuros::device::FramePool> pool;
  std::unique_ptr<AddressRange> range;
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + std::ssize(values) / 2);
  return values[values.size() / 2];
}

void print_times(const char* what, const std::vector<double>& us) {
  std::printf("%-7s %4zu segments, us each: median %8.1f, least %8.1f, most %8.1f\n", what,
              us.size(), median(us), *std::ranges::min_element(us), *std::ranges::max_element(us));
}

void measure_mapping(Bench& bench) {
  std::vector<double> map_us, unmap_us;
  for (int round = 0; round < bench.options.rounds; ++round) {
    for (const plan::SegmentPlacement& segment : bench.model.segments) {
      const size_t frame = bench.frame_bytes;
      const auto offset = static_cast<size_t>(segment.offset);
      const size_t bytes = (static_cast<size_t>(segment.bytes) + frame - 1) / frame * frame;
      const double start = now_seconds();
      or_fail(bench.range->map(offset, bytes));
      const double mapped = now_seconds();
      or_fail(bench.range->unmap(offset, bytes));
      map_us.push_back(1e6 * (mapped - start));
      unmap_us.push_back(1e6 * (now_seconds() - mapped));
    }
  }
  print_times("map", map_us);
  print_times("unmap", unmap_us);
}

/// A pager whose jobs somebody waits for.
class WaitingPager {
 public:
  explicit WaitingPager(Device& device)
      : pager_(or_fail(Pager::create(device, [this](const PagerReport& r) { note(r); }))) {}
  Pager& pager() { return *pager_; }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return reports_ >= count; });
    reports_ -= count;
  }

 private:
  void note(const PagerReport& report) {
    if (!report.result) fail(report.result.error().message);
    const std::lock_guard lock(mutex_);
    ++reports_;
    came_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  size_t reports_ = 0;
  std::unique_ptr<Pager> pager_;  ///< its threads use the rest
};

double roof_of(const Bench& bench, const runtime::PreparedSegments& prepared) {
  if (prepared.source->tier() != WeightTier::kDisk) return bench.copy_rate;
  const std::string& kept = prepared.report.kept_as;
  return or_fail(neuros::device::measure_read_rate(kept.empty() ? prepared.report.path : kept));
}

/// All segments of a model in, or out: how long it took, and what the pager says of it.
struct Pass {
  double seconds = 1e30;
  int64_t map_us = 0, copy_us = 0;
};

Pass pass(WaitingPager& waiting, int32_t model, size_t segments, const auto& job,
          const std::function<runtime::PagerTraffic()>& traffic) {
  const runtime::PagerTraffic before = traffic();
  const double start = now_seconds();
  for (size_t i = 0; i < segments; ++i) job(model, static_cast<int32_t>(i));
  waiting.wait_for(segments);
  const runtime::PagerTraffic after = traffic();
  return {now_seconds() - start, after.map_us - before.map_us, after.copy_us - before.copy_us};
}

void print_row(const Bench& bench, const runtime::PreparedSegments& prepared, const Pass& load,
               const Pass& drop, double prepare_seconds) {
  const double rate = static_cast<double>(bench.weight_bytes()) / load.seconds;
  const double roof = roof_of(bench, prepared);
  std::printf("%-9s %9.1f %9.1f %9.1f %9.1f %8.2f %8.2f %6.1f %9.2f\n",
              std::string(plan::name(prepared.source->tier())).c_str(), 1e3 * load.seconds,
              1e-3 * static_cast<double>(load.map_us), 1e-3 * static_cast<double>(load.copy_us),
              1e3 * drop.seconds, rate / 1e9, roof / 1e9, roof > 0 ? 100 * rate / roof : 0.0,
              prepare_seconds);
}

void measure_tier(Bench& bench, WeightTier tier) {
  const double start = now_seconds();
  const auto prepared = or_fail(
      runtime::prepare_segments(bench.model, bench.checkpoint, bench.ops, *bench.device,
                                {.tier = tier, .folder = bench.options.folder, .on_progress = {}}));
  const double prepare_seconds = now_seconds() - start;
  WaitingPager waiting(*bench.device);
  Pager& pager = waiting.pager();
  const int32_t model =
      or_fail(pager.add({bench.range.get(), &bench.model, prepared.source.get()}));
  const size_t segments = bench.model.segments.size();
  Pass load, drop;
  for (int round = 0; round < bench.options.rounds; ++round) {
    const Pass in = pass(
        waiting, model, segments, [&](int32_t m, int32_t s) { pager.load(m, s); },
        [&] { return pager.stats().of(runtime::PagerJob::kLoad, tier); });
    const Pass out = pass(
        waiting, model, segments, [&](int32_t m, int32_t s) { pager.drop(m, s); },
        [&] { return pager.stats().of(runtime::PagerJob::kDrop, tier); });
    if (in.seconds < load.seconds) load = in;
    if (out.seconds < drop.seconds) drop = out;
  }
  pager.stop(Pager::Stop::kFinish);
  print_row(bench, prepared, load, drop, prepare_seconds);
}

int to_int(const std::string& text) {
  int value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || value < 1) fail(text + ": expected a number from 1 on");
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string, std::string*> texts{{"--device", &options.device},
                                                  {"--spec", &options.spec},
                                                  {"--model", &options.model},
                                                  {"--folder", &options.folder}};
  const std::map<std::string, int*> numbers{{"--frame-mib", &options.frame_mib},
                                            {"--rounds", &options.rounds}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) fail(flag + ": a value is missing");
    if (const auto text = texts.find(flag); text != texts.end()) {
      *text->second = argv[i + 1];
    } else if (const auto number = numbers.find(flag); number != numbers.end()) {
      *number->second = to_int(argv[i + 1]);
    } else {
      fail(flag + ": no such flag");
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench(parse(argc, argv));
  std::printf("%s, %s: %.1f MiB in %zu segments, %.1f MiB of frames of %d MiB\n",
              bench.options.device.c_str(), bench.checkpoint.path.c_str(),
              static_cast<double>(bench.weight_bytes()) / (1 << 20), bench.model.segments.size(),
              static_cast<double>(bench.range->size()) / (1 << 20), bench.options.frame_mib);
  measure_mapping(bench);
  std::printf("%-9s %9s %9s %9s %9s %8s %8s %6s %9s\n", "tier", "load ms", "map ms", "copy ms",
              "drop ms", "GB/s", "roof", "%", "prepare s");
  // The others find packed what the disk's tier has made.
  for (const WeightTier tier : {WeightTier::kDisk, WeightTier::kPinned, WeightTier::kPageable}) {
    measure_tier(bench, tier);
  }
}
