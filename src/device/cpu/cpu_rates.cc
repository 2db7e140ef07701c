#include "device/cpu/cpu_rates.h"

#include "base/check.h"
#include "base/thread_pool.h"
#include "device/cpu/instruction_rates.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace neuros::device {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPasses = 5;
constexpr int64_t kRounds = 2'000'000;
constexpr int64_t kTileRounds = 200'000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Best rate of several passes, `amount` done in each by all workers together.
template <typename Pass>
double best_rate(double amount, Pass pass) {
  double best = 0.0;
  for (int i = 0; i < kPasses; ++i) {
    const auto start = Clock::now();
    pass();
    best = std::max(best, amount / seconds_since(start));
  }
  return best;
}

/// This worker's part of the buffer, whole cache lines.
std::span<std::byte> part_of(std::span<std::byte> all, int worker, int workers) {
  const size_t each = all.size() / static_cast<size_t>(workers) / 256 * 256;
  return all.subspan(each * static_cast<size_t>(worker), each);
}

double read_rate(base::ThreadPool& pool, const base::CpuFeatures& features,
                 std::span<std::byte> buffer) {
  std::atomic<uint64_t> sink{0};
  return best_rate(static_cast<double>(buffer.size()), [&] {
    pool.run([&](int worker) {
      const auto part = part_of(buffer, worker, pool.size());
      sink += stream_read(features, part.data(), static_cast<int64_t>(part.size()));
    });
  });
}

double copy_rate(base::ThreadPool& pool, std::span<std::byte> buffer) {
  return best_rate(static_cast<double>(buffer.size()), [&] {
    pool.run([&](int worker) {
      const auto part = part_of(buffer, worker, pool.size());
      const size_t half = part.size() / 2;
      std::memcpy(part.data() + half, part.data(), half);
    });
  });
}

double instruction_rate(base::ThreadPool& pool, const InstructionLoop& loop) {
  if (loop.run == nullptr) return 0.0;
  const int64_t rounds = loop.operations > 50'000 ? kTileRounds : kRounds;
  return best_rate(loop.operations * static_cast<double>(rounds) * pool.size(),
                   [&] { pool.run([&](int) { loop.run(rounds); }); });
}

}  // namespace

base::Result<CpuRates> measure_cpu_rates(Device& device, Stream& stream,
                                         const base::CpuFeatures& features, size_t buffer_bytes) {
  base::ThreadPool* pool = stream.cpu_workers();
  CHECK(pool != nullptr, "a CPU stream has workers");
  const Buffer buffer = TRY(device.reserve(buffer_bytes, "bandwidth measurement"));
  std::memset(buffer.data(), 1, buffer.size());
  CpuRates rates;
  rates.read_bytes_per_s = read_rate(*pool, features, buffer.span());
  rates.copy_bytes_per_s = copy_rate(*pool, buffer.span());
  rates.f32_flops_per_s = instruction_rate(*pool, f32_loop(features));
  rates.bf16_flops_per_s = instruction_rate(*pool, bf16_loop(features));
  rates.int8_ops_per_s = instruction_rate(*pool, int8_loop(features));
  return rates;
}

}  // namespace neuros::device
