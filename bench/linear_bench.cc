/// How fast the matrix products of the CPU backend are, against what the machine can do:
///
///   linear_bench [--threads N] [--tokens N] [--types q4_k,q8_0,...] [--seconds S] [--decode 0]
///
/// For each weight type and each matrix shape of a 1B Llama: decode (one token, weights streamed
/// from memory) in GB/s of packed weights, beside the measured read bandwidth; prefill (512 tokens)
/// in GFLOP/s, beside the measured rate of the dot product it is made of. After each type the
/// products of one layer together, and how many tokens a second 16 such layers would take; last
/// what a prefill's attention adds to that. Best tenth of many short runs. The best level of this
/// processor (amx where it has it), or that of NEUROS_CPU=avx2. --decode 0: prefill only.

#include "base/cpu_features.h"
#include "base/dtype.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/cpu_rates.h"
#include "kernels/attention.h"
#include "kernels/op_table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

using neuros::base::DType;
using neuros::kernels::LinearKernel;
using neuros::kernels::OpContext;

struct Shape {
  const char* name;
  int64_t rows, cols;
  int count;  ///< in a layer
};
constexpr Shape kShapes[]{{"q,o", 2048, 2048, 2},
                          {"k,v", 512, 2048, 2},
                          {"gate,up", 8192, 2048, 2},
                          {"down", 2048, 8192, 1}};
/// Weights that decode goes through: several times any cache.
constexpr int64_t kDecodeBytes = int64_t{256} << 20;

struct Options {
  int threads = 0;
  int64_t tokens = 512;
  double seconds = 0.5;
  bool decode = true;
  std::string types = "q4_k,q8_0,q4_0,tq2_0,bf16";
};

struct Bench {
  Options options;
  std::unique_ptr<neuros::device::Device> device;
  std::unique_ptr<neuros::device::Stream> stream;
  const neuros::kernels::OpTable* ops = nullptr;
  neuros::device::CpuRates rates;
};

/// Seconds on the wall, or, with one worker, of this thread alone: what others take does not count.
double now_seconds(bool one_worker) {
  timespec time{};
  ::clock_gettime(one_worker ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// The time of one run that a tenth of the runs undercut: what the machine does when nothing else
/// runs on it, without trusting a single lucky run.
template <typename Run>
double best_seconds(const Options& options, Run run) {
  const bool one_worker = options.threads == 1;
  std::vector<double> times;
  const double start = now_seconds(one_worker);
  do {
    const double before = now_seconds(one_worker);
    run();
    times.push_back(now_seconds(one_worker) - before);
  } while (times.size() < 10 || now_seconds(one_worker) - start < options.seconds);
  std::sort(times.begin(), times.end());
  return times[times.size() / 10];
}

/// Bytes of a packed matrix with small finite scales: random 16-bit words whose top bits are fixed.
void fill(std::byte* data, int64_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  for (int64_t i = 0; i + 4 <= bytes; i += 4) {
    const uint32_t word = random() & 0x1fff1fffu;
    std::memcpy(data + i, &word, sizeof(word));
  }
}

struct Result {
  double decode_bytes_per_s = 0, prefill_flops_per_s = 0;
  double prefill_seconds = 0;
};

Result measure(Bench& bench, DType dtype, const Shape& shape) {
  const LinearKernel& kernel = bench.ops->linear_for(dtype);
  const int64_t bytes = kernel.packed_bytes(shape.rows, shape.cols);
  const int64_t copies = std::max<int64_t>(1, kDecodeBytes / bytes);
  const auto weights =
      bench.device->reserve(static_cast<size_t>(bytes * copies), "weights").value();
  fill(weights.data(), bytes * copies, 1);
  const auto scratch =
      bench.device
          ->reserve(static_cast<size_t>(bench.ops->scratch_bytes({.tokens = bench.options.tokens,
                                                                  .cols = shape.cols,
                                                                  .rows = shape.rows,
                                                                  .workers = 64})),
                    "scratch")
          .value();
  std::vector<float> x(static_cast<size_t>(bench.options.tokens * shape.cols), 0.5f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  std::vector<float> y(static_cast<size_t>(bench.options.tokens * shape.rows));
  const OpContext context{*bench.stream, scratch.span()};
  const auto run = [&](int64_t copy, int64_t tokens) {
    kernel.run(context, {.weight = {dtype, shape.rows, shape.cols, weights.data() + copy * bytes},
                         .x = x.data(),
                         .y = y.data(),
                         .tokens = tokens});
  };
  int64_t next = 0;  // another copy each time: weights come from memory
  const double decode = bench.options.decode
                            ? best_seconds(bench.options, [&] { run(next++ % copies, 1); })
                            : INFINITY;
  const double prefill =
      best_seconds(bench.options, [&] { run(next++ % copies, bench.options.tokens); });
  const double flops = 2.0 * static_cast<double>(shape.rows * shape.cols * bench.options.tokens);
  return {static_cast<double>(bytes) / decode, flops / prefill, prefill};
}

void print_layer(const Bench& bench, const char* name, double seconds) {
  std::printf("%-9s a layer: %8.3f ms for %lld tokens, 16 layers %7.1f tok/s\n", name,
              1e3 * seconds, static_cast<long long>(bench.options.tokens),
              static_cast<double>(bench.options.tokens) / (16 * seconds));
  std::fflush(stdout);
}

void measure_type(Bench& bench, DType dtype) {
  const double dot_rate = dtype == DType::kBF16 ? bench.rates.bf16_flops_per_s
                          : dtype == DType::kF32 || dtype == DType::kF16
                              ? bench.rates.f32_flops_per_s
                              : bench.rates.int8_ops_per_s;
  double layer_seconds = 0;
  for (const Shape& shape : kShapes) {
    const Result result = measure(bench, dtype, shape);
    std::printf("%-9s %-8s %7.1f GB/s %5.1f %%   %8.1f GFLOP/s %5.1f %%\n",
                std::string(neuros::base::name(dtype)).c_str(), shape.name,
                result.decode_bytes_per_s / 1e9,
                100.0 * result.decode_bytes_per_s / bench.rates.read_bytes_per_s,
                result.prefill_flops_per_s / 1e9, 100.0 * result.prefill_flops_per_s / dot_rate);
    std::fflush(stdout);
    layer_seconds += shape.count * result.prefill_seconds;
  }
  print_layer(bench, std::string(neuros::base::name(dtype)).c_str(), layer_seconds);
}

/// Attention of one prompt that fills the batch, in one layer of a 1B Llama.
void measure_attention(Bench& bench) {
  const auto tokens = static_cast<int32_t>(bench.options.tokens);
  const neuros::kernels::KvLayout layout{.layers = 1, .kv_heads = 8, .head_dim = 64};
  constexpr int32_t heads = 32;
  const int32_t page_count = (tokens + layout.page_tokens - 1) / layout.page_tokens;
  std::vector<int32_t> pages(static_cast<size_t>(page_count));
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<std::byte> arena(static_cast<size_t>(page_count * layout.page_bytes()));
  fill(arena.data(), std::ssize(arena), 2);
  std::vector<float> q(static_cast<size_t>(tokens * heads * layout.head_dim), 0.25f);
  std::vector<float> out(q.size());
  const auto bytes = bench.ops->scratch_bytes({.tokens = tokens,
                                               .cols = 2048,
                                               .rows = 8192,
                                               .heads = heads,
                                               .head_dim = layout.head_dim,
                                               .workers = 64});
  const auto scratch = bench.device->reserve(static_cast<size_t>(bytes), "scratch").value();
  const OpContext context{*bench.stream, scratch.span()};
  const neuros::kernels::SequenceSlice sequence{.rows = tokens, .pages = pages};
  const double seconds = best_seconds(bench.options, [&] {
    bench.ops->attention(context, {.q = q.data(),
                                   .out = out.data(),
                                   .sequences = {&sequence, 1},
                                   .kv = {layout, arena.data()},
                                   .heads = heads,
                                   .scale = 0.125f});
  });
  print_layer(bench, "attention", seconds);
}

std::vector<DType> parse_types(const std::string& list) {
  std::vector<DType> types;
  for (size_t start = 0; start < list.size();) {
    const size_t end = std::min(list.find(',', start), list.size());
    const auto dtype = neuros::base::dtype_from_name(list.substr(start, end - start));
    if (dtype) types.push_back(*dtype);
    start = end + 1;
  }
  return types;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--threads") options.threads = std::stoi(argv[i + 1]);
    if (flag == "--tokens") options.tokens = std::stoi(argv[i + 1]);
    if (flag == "--types") options.types = argv[i + 1];
    if (flag == "--decode") options.decode = std::stoi(argv[i + 1]) != 0;
    if (flag == "--seconds") options.seconds = std::stod(argv[i + 1]);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  bench.options = parse(argc, argv);
  const auto features = neuros::base::chosen_cpu();
  if (!features) return std::fprintf(stderr, "%s\n", features.error().message.c_str()), 1;
  bench.device = neuros::device::open_cpu_device({.threads = bench.options.threads}).value();
  bench.stream = bench.device->create_stream().value();
  bench.ops = &neuros::kernels::cpu_ops(*features);
  bench.rates = neuros::device::measure_cpu_rates(*bench.device, *bench.stream, *features).value();
  std::printf("%s on %s: read %.1f GB/s, int8 %.0f, bf16 %.0f, f32 %.0f G/s\n",
              bench.ops->name.c_str(), features->brand.c_str(), bench.rates.read_bytes_per_s / 1e9,
              bench.rates.int8_ops_per_s / 1e9, bench.rates.bf16_flops_per_s / 1e9,
              bench.rates.f32_flops_per_s / 1e9);
  for (DType dtype : parse_types(bench.options.types)) measure_type(bench, dtype);
  measure_attention(bench);
  return 0;
}
