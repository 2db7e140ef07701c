/// How fast matrix products of prompt rows are on a GPU, against what its tensor cores do:
///
///   cuda_prefill_bench [--types q4_k,q8_0,...] [--shape ROWSxCOLS] [--tokens N] [--rate TFLOPS]
///   cuda_prefill_bench --check [--types ...] [--path generic]
///   cuda_prefill_bench --layer [--types ...] [--tokens N] [--rate TFLOPS]
///
/// Times are of the whole product, the preparing of the activations included: the median of many
/// runs, by events, over copies of the weights that together do not fit in L2. `rate` is what a
/// library's bf16 product was measured to do on the same card; the share of it is printed. Each row
/// is one type and shape on the generic path and on the card's own, or on the one that --path names
/// as NEUROS_CUDA_PATH does. --check compares results with sums in double instead and fails where
/// they differ. --layer shows where the time of a layer goes (prefill_layer.h).

#include "base/check.h"
#include "cuda/event_timer.h"
#include "cuda/packed_weights.h"
#include "cuda/prefill_check.h"
#include "cuda/prefill_layer.h"
#include "device/cuda_device.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::bench {
namespace {

using base::DType;

struct Shape {
  int64_t rows, cols, tokens;
};
constexpr Shape kShapes[]{{4096, 14336, 1024}, {14336, 4096, 1024}, {4096, 4096, 1024},
                          {4096, 14336, 4096}, {4096, 14336, 128},  {4096, 4096, 32}};

struct Options {
  bool check = false;
  bool layer = false;
  std::vector<DType> types;
  std::vector<Shape> shapes;
  std::string path;
  int64_t tokens = 1024;  ///< of a layer
  double rate = 787;      ///< TFLOP/s of bf16 through PyTorch on an H200
};

device::Buffer reserve(device::Device& device, size_t bytes) {
  auto buffer = device.reserve(bytes, "prefill bench");
  CHECK(buffer.has_value(), buffer.error().message.c_str());
  return std::move(*buffer);
}

/// One type and shape with everything in device memory.
class Product {
 public:
  Product(device::Device& device, device::Stream& stream, DType dtype, Shape shape)
      : stream_(stream), dtype_(dtype), shape_(shape) {
    limits_.tokens = shape.tokens, limits_.cols = shape.cols, limits_.rows = shape.rows;
    std::mt19937 engine(7);
    const auto weights = PackedWeights::random(engine, dtype, shape.rows, shape.cols);
    const size_t copies = (size_t{256} << 20) / weights.bytes.size() + 2;
    for (size_t i = 0; i < copies; ++i) {
      weights_.push_back(reserve(device, weights.bytes.size()));
      stream.copy(weights_.back().data(), weights.bytes.data(), weights.bytes.size());
    }
    std::vector<float> x(static_cast<size_t>(shape.tokens * shape.cols));
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(engine);
    x_ = reserve(device, x.size() * 4);
    stream.copy(x_.data(), reinterpret_cast<const std::byte*>(x.data()), x.size() * 4);
    y_ = reserve(device, static_cast<size_t>(shape.tokens * shape.rows) * 4);
    scratch_ = reserve(device, static_cast<size_t>(kernels::cuda::prefill_scratch_bytes(limits_)));
    CHECK(stream.synchronize().has_value());
  }

  /// The median time of a product, over runs of several products that follow each other closely.
  double median_ms(const char* path) {
    ::setenv("NEUROS_CUDA_PATH", path, 1);
    constexpr int kInRow = 8;
    EventTimer timer(static_cast<cudaStream_t>(stream_.native_handle()));
    const auto several = [&] {
      for (int i = 0; i < kInRow; ++i) run();
    };
    for (int i = 0; i < 3; ++i) timer.milliseconds(several);
    std::vector<double> times;
    double total = 0.0;
    while (times.size() < 5 || (total < 100.0 && times.size() < 100)) {
      times.push_back(timer.milliseconds(several));
      total += times.back();
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] / kInRow;
  }

 private:
  void run() {
    const kernels::OpContext context{stream_, scratch_.span(), {}, limits_};
    const device::Buffer& weights = weights_[next_++ % weights_.size()];
    const kernels::cuda::LinearTask task{
        .weight = {dtype_, shape_.rows, shape_.cols, weights.data()},
        .y = reinterpret_cast<float*>(y_.data())};
    const kernels::cuda::ActivationSource source{.x = reinterpret_cast<const float*>(x_.data()),
                                                 .tokens = shape_.tokens,
                                                 .cols = shape_.cols};
    prefill_tasks(context, source, {&task, 1}, scratch_.span());
  }

  device::Stream& stream_;
  DType dtype_;
  Shape shape_;
  kernels::OpLimits limits_;
  std::vector<device::Buffer> weights_;
  device::Buffer x_, y_, scratch_;
  size_t next_ = 0;
};

void measure(device::Device& device, const Options& options) {
  auto stream = device.create_stream();
  CHECK(stream.has_value(), stream.error().message.c_str());
  std::printf("%-9s %6s %6s %6s  %-9s %9s %9s %6s\n", "type", "rows", "cols", "tokens", "path",
              "us", "TFLOP/s", "share");
  for (const Shape& shape : options.shapes) {
    for (const DType dtype : options.types) {
      Product product(device, **stream, dtype, shape);
      for (const char* path : {"generic", "automatic"}) {
        if (!options.path.empty()) path = options.path.c_str();
        const double ms = product.median_ms(path);
        const double tflops =
            2e-9 * static_cast<double>(shape.rows * shape.cols * shape.tokens) / ms;
        std::printf("%-9s %6lld %6lld %6lld  %-9s %9.1f %9.1f %5.1f%%\n",
                    std::string(base::name(dtype)).c_str(), static_cast<long long>(shape.rows),
                    static_cast<long long>(shape.cols), static_cast<long long>(shape.tokens), path,
                    1e3 * ms, tflops, 100 * tflops / options.rate);
        std::fflush(stdout);
        if (!options.path.empty()) break;
      }
    }
  }
}

std::vector<DType> types_of(std::string_view names) {
  std::vector<DType> out;
  while (!names.empty()) {
    const size_t end = std::min(names.find(','), names.size());
    const auto dtype = base::dtype_from_name(names.substr(0, end));
    if (!dtype) {
      std::fprintf(stderr, "no such type: %s\n", std::string(names.substr(0, end)).c_str());
      std::exit(2);
    }
    out.push_back(*dtype);
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return out;
}

Options parse(int argc, char** argv) {
  Options options;
  int64_t tokens = 0;
  Shape shape{0, 0, 1024};
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--check" || name == "--layer") {
      (name == "--check" ? options.check : options.layer) = true;
      continue;
    }
    CHECK(i + 1 < argc, "an option without its value");
    const char* value = argv[++i];
    if (name == "--types") options.types = types_of(value);
    if (name == "--tokens") tokens = std::strtoll(value, nullptr, 10);
    if (name == "--path") options.path = value;
    if (name == "--rate") options.rate = std::strtod(value, nullptr);
    if (name == "--shape") {
      char* end = nullptr;
      shape.rows = std::strtoll(value, &end, 10);
      CHECK(*end == 'x', "--shape ROWSxCOLS");
      shape.cols = std::strtoll(end + 1, nullptr, 10);
    }
  }
  if (shape.rows > 0) options.shapes = {shape};
  if (options.shapes.empty()) options.shapes.assign(std::begin(kShapes), std::end(kShapes));
  for (Shape& each : options.shapes) each.tokens = tokens > 0 ? tokens : each.tokens;
  options.tokens = tokens > 0 ? tokens : options.tokens;
  if (!options.types.empty()) return options;
  if (options.layer) {
    options.types = {DType::kBF16, DType::kQ8_0, DType::kQ4_K};
    return options;
  }
  if (!options.check) {
    options.types = {DType::kBF16, DType::kF16,  DType::kQ8_0,
                     DType::kQ4_0, DType::kQ4_K, DType::kQ6_K};
    return options;
  }
  for (int i = 0; i < base::kWeightDTypeCount; ++i) options.types.push_back(static_cast<DType>(i));
  return options;
}

}  // namespace
}  // namespace neuros::bench

int main(int argc, char** argv) {
  const neuros::bench::Options options = neuros::bench::parse(argc, argv);
  auto device = neuros::device::open_cuda_device({});
  if (!device) {
    std::fprintf(stderr, "%s\n", device.error().message.c_str());
    return 1;
  }
  if (options.check) {
    return neuros::bench::check_prefill(**device, options.types, options.path) ? 0 : 1;
  }
  if (options.layer) {
    neuros::bench::measure_layer(
        **device, {.types = options.types, .tokens = options.tokens, .tflops = options.rate});
    return 0;
  }
  neuros::bench::measure(**device, options);
  return 0;
}
