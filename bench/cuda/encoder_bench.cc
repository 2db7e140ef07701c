/// How fast the ops of a speech encoder are on a GPU, for the shapes of a large Whisper:
///
///   cuda_encoder_bench [--rate TFLOPS] [--memory TBYTES] [--clock GHZ] [--items N]
///
/// convolution: 7 items of 1500 frames of 128 channels, three taps, to 1280 channels, with bias,
/// GELU, positions and the statistics of the layer norm after it. attention: N items (8) of 1500
/// rows, 20 heads of 64, out of rows of a QKV product. Times are the median of many runs by events,
/// several calls in a row, over sets of inputs and outputs that together do not fit in L2. Bounds
/// are the operations at `rate`, the bytes of device memory at `memory` or, of attention, the
/// powers at 16 a cycle and multiprocessor at `clock`, whichever takes longest. Peer, by the same
/// method: bench/peer/paper_encoder.py.

#include "base/check.h"
#include "base/float16.h"
#include "cuda/event_timer.h"
#include "device/cuda_device.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/op_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace neuros::bench {
namespace {

using kernels::Conv1dGeluArgs;
using kernels::EncoderAttentionArgs;
using kernels::OpContext;
using kernels::OpLimits;

constexpr int64_t kHeads = 20, kHeadDim = 64, kWidth = kHeads * kHeadDim, kRows = 1500;
constexpr int64_t kChannels = 128, kTaps = 3;
constexpr int64_t kConvolutionItems = 7;
/// More than any L2.
constexpr int64_t kSetsBytes = int64_t{512} << 20;

struct Options {
  double tflops = 800;
  double tbytes = 4.1;
  double ghz = 1.7;
  int64_t items = 8;  ///< of attention
};

/// Memory of the device that lives as long as the bench.
class Memory {
 public:
  Memory(device::Device& device, device::Stream& stream) : device_(device), stream_(stream) {}

  std::byte* bytes(int64_t count) {
    auto buffer = device_.reserve(static_cast<size_t>(count), "encoder bench");
    CHECK(buffer.has_value(), buffer.error().message.c_str());
    buffers_.push_back(std::move(*buffer));
    return buffers_.back().data();
  }
  uint16_t* halves(int64_t count) { return reinterpret_cast<uint16_t*>(bytes(2 * count)); }
  float* floats(int64_t count) { return reinterpret_cast<float*>(bytes(4 * count)); }

  std::byte* copy(const void* from, int64_t count) {
    std::byte* to = bytes(count);
    stream_.copy(to, static_cast<const std::byte*>(from), static_cast<size_t>(count));
    CHECK(stream_.synchronize().has_value());
    return to;
  }
  uint16_t* copy(const std::vector<uint16_t>& values) {
    return reinterpret_cast<uint16_t*>(copy(values.data(), 2 * std::ssize(values)));
  }
  std::vector<uint16_t> random(int64_t count, float sigma) {
    std::normal_distribution<float> normal(0.0f, sigma);
    std::vector<uint16_t> out(static_cast<size_t>(count));
    for (uint16_t& bits : out) bits = base::float_to_f16(normal(engine_));
    return out;
  }

 private:
  device::Device& device_;
  device::Stream& stream_;
  std::mt19937 engine_{7};
  std::vector<device::Buffer> buffers_;
};

/// Calls that together touch kSetsBytes.
int64_t sets_of(int64_t bytes) {
  return kSetsBytes / bytes + 2;
}

/// The median time of a call, over runs of several that follow each other closely.
template <typename Call>
double median_us(device::Stream& stream, Call call) {
  constexpr int kInRow = 8, kRuns = 60;
  EventTimer timer(static_cast<cudaStream_t>(stream.native_handle()));
  int64_t next = 0;
  const auto several = [&] {
    for (int i = 0; i < kInRow; ++i) call(next++);
  };
  for (int i = 0; i < 5; ++i) timer.milliseconds(several);
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) times.push_back(1e3 / kInRow * timer.milliseconds(several));
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void print(const char* name, double us, double gflop, double bound_us) {
  std::printf("%-12s %9.1f us %8.1f TFLOP/s, bound %6.1f us (%.0f%%)\n", name, us, 1e3 * gflop / us,
              bound_us, 100 * bound_us / us);
  std::fflush(stdout);
}

OpContext context_for(Memory& memory, device::Stream& stream) {
  const OpLimits limits{.tokens = 64,
                        .sequences = 1,
                        .cols = kTaps * kChannels,
                        .rows = kWidth,
                        .heads = kHeads,
                        .head_dim = kHeadDim,
                        .context = kRows,
                        .logit_rows = 1};
  const int64_t bytes = kernels::cuda_ops()->scratch_bytes(limits);
  return {stream, {memory.bytes(bytes), static_cast<size_t>(bytes)}, {}, limits};
}

void measure_convolution(Memory& memory, device::Stream& stream, const OpContext& context,
                         const Options& options) {
  const int64_t cols = kTaps * kChannels, rows = kConvolutionItems * kRows;
  const kernels::LinearKernel& kernel = kernels::cuda_ops()->linear_for(base::DType::kF16);
  const std::vector<uint16_t> weight = memory.random(kWidth * cols, 0.05f);
  std::vector<std::byte> packed(static_cast<size_t>(kernel.packed_bytes(kWidth, cols)));
  kernel.pack(reinterpret_cast<const std::byte*>(weight.data()), kWidth, cols, 0, kWidth,
              packed.data());
  const std::vector<float> bias(kWidth, 0.1f);
  const auto x = memory.random(rows * kChannels, 1.0f);
  const auto positions = memory.random(kRows * kWidth, 0.1f);
  const int64_t bytes =
      std::ssize(packed) + 2 * kRows * kWidth + rows * (2 * kChannels + 8) + 2 * rows * kWidth;
  std::vector<Conv1dGeluArgs> sets(static_cast<size_t>(sets_of(bytes)));
  for (Conv1dGeluArgs& set : sets) {
    set = {
        .weight = {base::DType::kF16, kWidth, cols, memory.copy(packed.data(), std::ssize(packed))},
        .bias = reinterpret_cast<const float*>(memory.copy(bias.data(), 4 * kWidth)),
        .x = memory.copy(x),
        .positions = memory.copy(positions),
        .y = memory.halves(rows * kWidth),
        .mean = memory.floats(rows),
        .inverse_deviation = memory.floats(rows),
        .items = kConvolutionItems,
        .frames = kRows,
        .channels = kChannels,
        .taps = kTaps,
        .stride = 1,
        .padding = 1};
  }
  const double us = median_us(stream, [&](int64_t i) {
    kernels::cuda_ops()->conv1d_gelu(context, sets[static_cast<size_t>(i) % sets.size()]);
  });
  const double gflop = 2e-9 * static_cast<double>(rows * cols * kWidth);
  print("convolution", us, gflop,
        std::max(1e3 * gflop / options.tflops, 1e-6 * static_cast<double>(bytes) / options.tbytes));
}

void measure_attention(Memory& memory, device::Stream& stream, const OpContext& context,
                       const Options& options, int multiprocessors) {
  const int64_t rows = options.items * kRows;
  const int64_t bytes = 2 * rows * 4 * kWidth;
  const auto numbers = memory.random(rows * 3 * kWidth, 1.0f);
  std::vector<int32_t> starts;
  for (int64_t item = 0; item <= options.items; ++item) {
    starts.push_back(static_cast<int32_t>(item * kRows));
  }
  std::vector<EncoderAttentionArgs> sets(static_cast<size_t>(sets_of(bytes)));
  for (EncoderAttentionArgs& set : sets) {
    const uint16_t* qkv = memory.copy(numbers);
    set = {.q = qkv,
           .k = qkv + kWidth,
           .v = qkv + 2 * kWidth,
           .out = memory.halves(rows * kWidth),
           .q_stride = 3 * kWidth,
           .k_stride = 3 * kWidth,
           .v_stride = 3 * kWidth,
           .out_stride = kWidth,
           .starts = starts,
           .heads = kHeads,
           .head_dim = kHeadDim,
           .scale = 0.125f};
  }
  const double us = median_us(stream, [&](int64_t i) {
    kernels::cuda_ops()->encoder_attention(context, sets[static_cast<size_t>(i) % sets.size()]);
  });
  const auto powers = static_cast<double>(options.items * kHeads * kRows * kRows);
  const double gflop = 4e-9 * powers * kHeadDim;
  print("attention", us, gflop,
        std::max({1e3 * gflop / options.tflops, 1e-6 * static_cast<double>(bytes) / options.tbytes,
                  1e-3 * powers / (16 * multiprocessors * options.ghz)}));
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const double value = std::strtod(argv[i + 1], nullptr);
    if (name == "--rate") options.tflops = value;
    if (name == "--memory") options.tbytes = value;
    if (name == "--clock") options.ghz = value;
    if (name == "--items") options.items = std::lround(value);
  }
  return options;
}

}  // namespace
}  // namespace neuros::bench

int main(int argc, char** argv) {
  using namespace neuros;
  const bench::Options options = bench::parse(argc, argv);
  auto device = device::open_cuda_device({});
  if (!device) {
    std::fprintf(stderr, "%s\n", device.error().message.c_str());
    return 1;
  }
  auto stream = (*device)->create_stream();
  CHECK(stream.has_value(), stream.error().message.c_str());
  bench::Memory memory(**device, **stream);
  const kernels::OpContext context = bench::context_for(memory, **stream);
  bench::measure_convolution(memory, **stream, context, options);
  bench::measure_attention(memory, **stream, context, options,
                           device::cuda_devices().front().multiprocessors);
  return 0;
}
