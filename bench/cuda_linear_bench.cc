/// How fast the matrix products of the CUDA backend read their weights, against what the GPU
/// copies:
///
///   cuda_linear_bench [--types q4_k,q8_0,...] [--shapes 4096x4096,14336x4096,...]
///                     [--tokens 1,8,16,32,64] [--op linear|gate_up] [--prompt] [--seconds S]
///
/// One row for each type, shape and number of tokens: time of one product, preparation of its
/// activations included, the least it can take (weights at the bandwidth of a large copy, bytes
/// read and written), bytes of packed weights in its time, and the share of that bandwidth. A
/// recorded sequence of launches goes through copies of the weights that are several times larger
/// than the second-level cache. --prompt takes the tokens as rows of a prompt and not as decode
/// steps, and adds TFLOP/s.

#include "base/dtype.h"
#include "device/cuda_device.h"
#include "kernels/op_table.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

using neuros::base::DType;
using neuros::device::Buffer;
using neuros::kernels::OpContext;
using neuros::kernels::OpLimits;
using neuros::kernels::OpTable;
using neuros::kernels::PackedMatrix;

/// Weights that a sequence of launches goes through.
constexpr int64_t kWeightBytes = int64_t{512} << 20;
constexpr int64_t kCopyBytes = int64_t{1} << 30;
constexpr int kLaunchesMin = 40;

struct Shape {
  int64_t rows, cols;
};

struct Options {
  std::vector<std::string> types{"bf16", "q8_0", "q6_k", "q4_k", "q4_0", "tq2_0"};
  std::vector<std::string> shapes{"4096x4096", "14336x4096", "4096x14336", "2048x2048"};
  std::vector<std::string> tokens{"1", "8", "16", "32", "64"};
  bool gate_up = false;
  bool prompt = false;
  double seconds = 0.1;
};

struct Gpu {
  std::unique_ptr<neuros::device::Device> device;
  std::unique_ptr<neuros::device::Stream> stream;
  double copy_bytes_per_s = 0;
  uint64_t recordings = 0;  ///< a key for each
};

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void synchronize(Gpu& gpu) {
  if (const auto done = gpu.stream->synchronize(); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    std::exit(1);
  }
}

Buffer reserve(Gpu& gpu, int64_t bytes) {
  auto buffer = gpu.device->reserve(static_cast<size_t>(bytes), "bench");
  if (!buffer) {
    std::fprintf(stderr, "%s\n", buffer.error().message.c_str());
    std::exit(1);
  }
  return std::move(*buffer);
}

/// Median time of `work`, recorded once and replayed for the given time.
double median_seconds(Gpu& gpu, double seconds, neuros::base::FunctionRef<void()> work) {
  const uint64_t key = ++gpu.recordings;
  for (int i = 0; i < 3; ++i) gpu.stream->run_recorded(key, work);
  synchronize(gpu);
  std::vector<double> times;
  const double start = now_seconds();
  while (times.size() < 7 || now_seconds() - start < seconds) {
    const double before = now_seconds();
    gpu.stream->run_recorded(key, work);
    synchronize(gpu);
    times.push_back(now_seconds() - before);
  }
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  return times[times.size() / 2];
}

double measure_copy(Gpu& gpu) {
  const Buffer from = reserve(gpu, kCopyBytes), to = reserve(gpu, kCopyBytes);
  constexpr int kCopies = 8;
  const double seconds = median_seconds(gpu, 0.2, [&] {
    for (int i = 0; i < kCopies; ++i) {
      gpu.stream->copy(to.data(), from.data(), static_cast<size_t>(kCopyBytes));
    }
  });
  return 2.0 * kCopies * static_cast<double>(kCopyBytes) / seconds;
}

void upload(Gpu& gpu, std::byte* to, const void* from, size_t bytes) {
  gpu.stream->copy(to, static_cast<const std::byte*>(from), bytes);
  synchronize(gpu);
}

Buffer zeros(Gpu& gpu, int64_t bytes) {
  Buffer out = reserve(gpu, bytes);
  const std::vector<std::byte> values(static_cast<size_t>(bytes));
  upload(gpu, out.data(), values.data(), values.size());
  return out;
}

/// Copies of one packed matrix with small finite scales: random words whose top bits are fixed.
Buffer random_weights(Gpu& gpu, int64_t bytes, int64_t copies) {
  std::mt19937 random(1);
  std::vector<uint32_t> words(static_cast<size_t>(bytes / 4));
  for (uint32_t& word : words) word = random() & 0x1fff1fffu;
  Buffer weights = reserve(gpu, bytes * copies);
  for (int64_t i = 0; i < copies; ++i) {
    upload(gpu, weights.data() + i * bytes, words.data(), static_cast<size_t>(bytes));
  }
  return weights;
}

Buffer random_activations(Gpu& gpu, int64_t count) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  Buffer x = reserve(gpu, count * 4);
  upload(gpu, x.data(), values.data(), values.size() * 4);
  return x;
}

/// Seconds of one product, and the bytes of its weights.
struct Measured {
  double seconds = 0, bytes = 0;
};

Measured measure(Gpu& gpu, const Options& options, DType dtype, Shape shape, int64_t tokens) {
  const OpTable& ops = *neuros::kernels::cuda_ops();
  const auto& kernel = ops.linear_for(dtype);
  const OpLimits limits{.tokens = tokens,
                        .sequences = 1,
                        .cols = shape.cols,
                        .rows = shape.rows,
                        .heads = 1,
                        .head_dim = 16,
                        .context = 16,
                        .logit_rows = 1};
  const int64_t bytes = kernel.packed_bytes(shape.rows, shape.cols);
  const int64_t copies = std::max<int64_t>(2, kWeightBytes / bytes / 2 * 2);
  const Buffer weights = random_weights(gpu, bytes, copies);
  const Buffer x = random_activations(gpu, tokens * shape.cols);
  const Buffer norm = random_activations(gpu, shape.cols);
  const Buffer y = reserve(gpu, tokens * shape.rows * 4);
  const Buffer scratch = zeros(gpu, ops.scratch_bytes(limits));
  const OpContext context{*gpu.stream, scratch.span(), {}, limits};
  const auto matrix = [&](int64_t i) {
    return PackedMatrix{dtype, shape.rows, shape.cols, weights.data() + i % copies * bytes};
  };
  const auto run = [&](int64_t i) {
    const auto* in = reinterpret_cast<const float*>(x.data());
    auto* out = reinterpret_cast<float*>(y.data());
    const int64_t decode = options.prompt ? 0 : tokens;
    if (options.gate_up) {
      ops.gate_up(context, {.x = in,
                            .norm_weight = reinterpret_cast<const float*>(norm.data()),
                            .gate = matrix(2 * i),
                            .up = matrix(2 * i + 1),
                            .out = out,
                            .tokens = tokens,
                            .decode_tokens = decode});
    } else {
      kernel.run(
          context,
          {.weight = matrix(i), .x = in, .y = out, .tokens = tokens, .decode_tokens = decode});
    }
  };
  const int64_t matrices = options.gate_up ? 2 : 1;
  const int64_t launches = std::max<int64_t>(kLaunchesMin, copies / matrices);
  const double seconds = median_seconds(gpu, options.seconds, [&] {
    for (int64_t i = 0; i < launches; ++i) run(i);
  });
  return {seconds / static_cast<double>(launches), static_cast<double>(bytes * matrices)};
}

void print_row(const Gpu& gpu, const Options& options, const std::string& type, Shape shape,
               int64_t tokens, Measured measured) {
  const double rate = measured.bytes / measured.seconds;
  std::printf("%-9s %6ldx%-6ld %5ld tokens %9.2f us, least %9.2f us %8.1f GB/s %5.1f %%",
              type.c_str(), shape.rows, shape.cols, tokens, measured.seconds * 1e6,
              measured.bytes / gpu.copy_bytes_per_s * 1e6, rate / 1e9,
              100.0 * rate / gpu.copy_bytes_per_s);
  if (options.prompt) {
    const auto products = static_cast<double>(shape.rows * shape.cols * tokens);
    std::printf(" %7.1f TFLOP/s",
                (options.gate_up ? 4.0 : 2.0) * products / measured.seconds / 1e12);
  }
  std::printf("\n");
  std::fflush(stdout);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

int64_t number(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Shape shape_of(const std::string& text) {
  const size_t times = text.find('x');
  return {number(text.substr(0, times)), number(text.substr(times + 1))};
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--prompt") {
      options.prompt = true;
      continue;
    }
    if (name == "--types") options.types = split(value);
    if (name == "--shapes") options.shapes = split(value);
    if (name == "--tokens") options.tokens = split(value);
    if (name == "--op") options.gate_up = value == "gate_up";
    if (name == "--seconds") options.seconds = std::stod(value);
    ++i;
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  auto device = neuros::device::open_cuda_device({});
  if (!device || neuros::kernels::cuda_ops() == nullptr) {
    std::fprintf(stderr, "no GPU: %s\n",
                 device ? "built without CUDA" : device.error().message.c_str());
    return 1;
  }
  Gpu gpu{.device = std::move(*device), .stream = nullptr};
  gpu.stream = gpu.device->create_stream().value();
  gpu.copy_bytes_per_s = measure_copy(gpu);
  std::printf("%s, copy %.1f GB/s, %s\n", neuros::device::cuda_devices().front().name.c_str(),
              gpu.copy_bytes_per_s / 1e9, options.gate_up ? "gate_up" : "linear");
  for (const std::string& type : options.types) {
    const auto dtype = neuros::base::dtype_from_name(type);
    if (!dtype) continue;
    for (const std::string& text : options.shapes) {
      for (const std::string& tokens : options.tokens) {
        const Shape shape = shape_of(text);
        print_row(gpu, options, type, shape, number(tokens),
                  measure(gpu, options, *dtype, shape, number(tokens)));
      }
    }
  }
  return 0;
}
