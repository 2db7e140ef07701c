#include "cuda/prefill_check.h"

#include "base/check.h"
#include "cuda/packed_weights.h"
#include "kernels/cuda/prefill.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace neuros::bench {
namespace {

using base::DType;
using kernels::OpContext;
using kernels::OpLimits;
using kernels::PackedMatrix;
using kernels::cuda::ActivationSource;
using kernels::cuda::LinearTask;

constexpr int64_t kTokens = 300;
/// Fractions and multiples of tiles of 64, 128 and 256 tokens.
constexpr int64_t kBatches[]{300, 1, 5, 64, 70, 130, 257};
constexpr float kEpsilon = 1e-5f;

/// Paths of NEUROS_CUDA_PATH; those of a family agree to the bit.
struct Path {
  const char* name;
  int family;
};
constexpr Path kPaths[]{{"generic", 0},    {"wgmma256", 1},       {"wgmma256+128", 1},
                        {"wgmma256x4", 1}, {"wgmma256+128x4", 1}, {"wgmma128", 1},
                        {"wgmma64", 1},    {"automatic", 1}};

/// Device memory with the bytes of a vector.
class Memory {
 public:
  Memory(device::Device& device, device::Stream& stream, size_t bytes) : stream_(stream) {
    auto buffer = device.reserve(std::max<size_t>(bytes, 256), "prefill check");
    CHECK(buffer.has_value(), buffer.error().message.c_str());
    buffer_ = std::move(*buffer);
  }
  template <typename T>
  Memory(device::Device& device, device::Stream& stream, const std::vector<T>& values)
      : Memory(device, stream, values.size() * sizeof(T)) {
    write(values);
  }
  template <typename T>
  void write(const std::vector<T>& values) {
    stream_.copy(buffer_.data(), reinterpret_cast<const std::byte*>(values.data()),
                 values.size() * sizeof(T));
    synchronize();
  }
  std::vector<float> floats(size_t count) const {
    std::vector<float> out(count);
    stream_.copy(reinterpret_cast<std::byte*>(out.data()), buffer_.data(), 4 * count);
    synchronize();
    return out;
  }
  float* as_floats() const { return reinterpret_cast<float*>(buffer_.data()); }
  std::byte* data() const { return buffer_.data(); }
  std::span<std::byte> span() const { return buffer_.span(); }

 private:
  void synchronize() const {
    const auto done = stream_.synchronize();
    CHECK(done.has_value(), done.error().message.c_str());
  }
  device::Stream& stream_;
  device::Buffer buffer_;
};

/// One set of activations, as the kernels get them and as they are in double.
struct Activations {
  int64_t cols = 0;
  bool plain = false;            ///< no RMSNorm, no gathering
  std::vector<float> x;          ///< [kTokens, cols]
  std::vector<float> weight;     ///< [cols]
  std::vector<int32_t> rows;     ///< [kTokens]
  std::vector<double> expected;  ///< [kTokens, cols]

  Activations(std::mt19937& engine, int64_t columns, bool is_plain)
      : cols(columns), plain(is_plain) {
    std::normal_distribution<float> normal;
    for (int64_t token = 0; token < kTokens; ++token) {
      // Of all magnitudes, and once nothing but zeros.
      const float size = token == 3 ? 0.0f : std::pow(10.0f, 3.0f * normal(engine));
      for (int64_t col = 0; col < cols; ++col) x.push_back(size * normal(engine));
      rows.push_back(static_cast<int32_t>((7 * token + 2) % kTokens));
    }
    for (int64_t col = 0; col < cols; ++col) weight.push_back(1.0f + 0.3f * normal(engine));
    for (int64_t token = 0; token < kTokens; ++token) expect(plain ? token : rows[at(token)]);
  }

 private:
  static size_t at(int64_t index) { return static_cast<size_t>(index); }
  void expect(int64_t row) {
    double squares = 0.0;
    for (int64_t i = 0; i < cols; ++i) squares += std::pow(double{x[at(row * cols + i)]}, 2);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(cols) + kEpsilon);
    for (int64_t i = 0; i < cols; ++i) {
      const double value = x[at(row * cols + i)];
      expected.push_back(plain ? value : value * factor * double{weight[at(i)]});
    }
  }
};

/// Expected values with what an error is measured in.
struct Expected {
  std::vector<double> value, unit;
};

double length(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// [kTokens, rows] sums; the unit is the product of the lengths of row and token.
Expected expected_product(const PackedWeights& weights, const Activations& activations) {
  Expected out;
  out.value.resize(static_cast<size_t>(kTokens * weights.rows));
  out.unit = out.value;
  const auto cols = static_cast<size_t>(weights.cols);
  for (int64_t row = 0; row < weights.rows; ++row) {
    const std::vector<double> w = weights.row(row);
    const double row_length = length(w);
    for (int64_t token = 0; token < kTokens; ++token) {
      const std::span x(activations.expected.data() + static_cast<size_t>(token) * cols, cols);
      double sum = 0.0;
      for (size_t i = 0; i < cols; ++i) sum += w[i] * x[i];
      const auto at = static_cast<size_t>(token * weights.rows + row);
      out.value[at] = sum;
      out.unit[at] = row_length * length(x) + 1e-30;
    }
  }
  return out;
}

Expected expected_swiglu(const Expected& gate, const Expected& up) {
  Expected out = gate;
  for (size_t i = 0; i < out.value.size(); ++i) {
    const double g = gate.value[i], u = up.value[i];
    const double silu = g / (1.0 + std::exp(-g));
    out.value[i] = silu * u;
    out.unit[i] = 1.1 * gate.unit[i] * std::abs(u) + up.unit[i] * std::abs(silu) +
                  1e-3 * gate.unit[i] * up.unit[i] + 1e-30;
  }
  return out;
}

double tolerance(DType dtype) {
  if (dtype == DType::kF32) return 2e-6;
  return dtype == DType::kBF16 ? 4e-3 : 5e-4;
}

/// Runs one product on every path and for every batch.
class Checker {
 public:
  Checker(device::Device& device, device::Stream& stream, OpLimits limits, std::string_view only)
      : device_(device),
        stream_(stream),
        limits_(limits),
        only_(only),
        scratch_(device, stream,
                 static_cast<size_t>(kernels::cuda::prefill_scratch_bytes(limits))) {}

  /// `run` writes [tokens, expected.rows] to y, which holds `before` (what it adds to).
  using Run = std::function<void(const OpContext&, int64_t tokens, Memory& y)>;
  void check(const std::string& what, double bound, const Expected& expected,
             const std::vector<float>& before, const Run& run) {
    std::vector<float> of_family[2];
    const size_t row_bytes = expected.value.size() / kTokens * 4;
    for (const Path& path : kPaths) {
      if (!only_.empty() && only_ != path.name) continue;
      ::setenv("NEUROS_CUDA_PATH", path.name, 1);
      for (const int64_t tokens : kBatches) {
        const std::vector<float> y = result(tokens, before, row_bytes, run);
        std::vector<float>& first = of_family[path.family];
        if (first.empty()) first = y;
        const bool same =
            std::memcmp(first.data(), y.data(), row_bytes * static_cast<size_t>(tokens)) == 0;
        report(what + ", " + path.name + ", " + std::to_string(tokens) + " tokens", bound,
               largest_error(expected, y), same);
      }
    }
  }

  double worst = 0.0;  ///< error by its bound
  bool passed = true;

 private:
  std::vector<float> result(int64_t tokens, const std::vector<float>& before, size_t row_bytes,
                            const Run& run) {
    scratch_.write(std::vector<uint8_t>(scratch_.span().size(), 0xff));  // not a number
    const auto count = static_cast<size_t>(tokens) * row_bytes / 4;
    Memory y(
        device_, stream_,
        std::vector<float>(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(count)));
    run({stream_, scratch_.span(), {}, limits_}, tokens, y);
    return y.floats(count);
  }

  /// Not a number is the largest.
  static double largest_error(const Expected& expected, const std::vector<float>& y) {
    double largest = 0.0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double error = std::abs(y[i] - expected.value[i]) / expected.unit[i];
      if (!(error <= largest)) largest = error;
      if (std::isnan(largest)) return largest;
    }
    return largest;
  }

  void report(const std::string& what, double bound, double error, bool same) {
    if (!(error / bound <= worst)) worst = error / bound;
    if (error <= bound && same) return;
    passed = false;
    if (++failures_ > 12) return;
    std::printf("  FAILED %s: error %.3g, bound %.3g%s\n", what.c_str(), error, bound,
                same ? "" : "; other bits than in another batch");
  }

  device::Device& device_;
  device::Stream& stream_;
  OpLimits limits_;
  std::string_view only_;
  Memory scratch_;
  int failures_ = 0;
};

/// What all products of a type are checked with.
struct Bench {
  device::Device& device;
  device::Stream& stream;
  std::mt19937 engine{20240601};

  template <typename T>
  Memory upload(const std::vector<T>& values) {
    return Memory(device, stream, values);
  }
  std::vector<float> normal(int64_t count) {
    std::normal_distribution<float> distribution;
    std::vector<float> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(distribution(engine));
    return out;
  }
};

PackedMatrix matrix(const PackedWeights& weights, const Memory& memory) {
  return {weights.dtype, weights.rows, weights.cols, memory.data()};
}

/// x, norm and rows in device memory.
struct DeviceActivations {
  const Activations& host;
  Memory x, weight, rows;

  DeviceActivations(Bench& bench, const Activations& activations)
      : host(activations),
        x(bench.upload(activations.x)),
        weight(bench.upload(activations.weight)),
        rows(bench.upload(activations.rows)) {}

  ActivationSource source(int64_t tokens) const {
    ActivationSource out{
        .x = x.as_floats(), .epsilon = kEpsilon, .tokens = tokens, .cols = host.cols};
    if (host.plain) return out;
    out.norm_weight = weight.as_floats();
    out.rows = reinterpret_cast<const int32_t*>(rows.data());
    return out;
  }
};

/// y = W x, nothing else; then two matrices in a launch, with bias and, in place, a residual.
void check_tasks(Bench& bench, Checker& checker, DType dtype, int64_t rows,
                 const Activations& activations) {
  const DeviceActivations on_device(bench, activations);
  const auto weights = PackedWeights::random(bench.engine, dtype, rows, activations.cols);
  const auto other = PackedWeights::random(bench.engine, dtype, 37, activations.cols);
  const Memory packed = bench.upload(weights.bytes), other_packed = bench.upload(other.bytes);
  Expected expected = expected_product(weights, activations);
  const std::string shape = std::to_string(rows) + " x " + std::to_string(activations.cols);
  const std::vector<float> poison(expected.value.size(), NAN);
  checker.check("product " + shape, tolerance(dtype), expected, poison,
                [&](const OpContext& context, int64_t tokens, Memory& y) {
                  const LinearTask task{.weight = matrix(weights, packed), .y = y.as_floats()};
                  prefill_tasks(context, on_device.source(tokens), {&task, 1}, context.scratch);
                });

  const std::vector<float> bias = bench.normal(rows), residual = bench.normal(kTokens * rows);
  const Memory bias_memory = bench.upload(bias);
  const Memory other_y =
      bench.upload(std::vector<float>(static_cast<size_t>(kTokens * other.rows)));
  for (size_t i = 0; i < residual.size(); ++i) {
    const double b = bias[i % bias.size()], r = residual[i];
    expected.value[i] += b + r;
    expected.unit[i] += 2e-7 * (std::abs(b) + std::abs(r)) / tolerance(dtype);  // f32 sums round
  }
  checker.check("product, bias, residual " + shape, tolerance(dtype), expected, residual,
                [&](const OpContext& context, int64_t tokens, Memory& y) {
                  const LinearTask tasks[]{
                      {.weight = matrix(other, other_packed), .y = other_y.as_floats()},
                      {.weight = matrix(weights, packed),
                       .bias = bias_memory.as_floats(),
                       .residual = y.as_floats(),
                       .y = y.as_floats()}};
                  prefill_tasks(context, on_device.source(tokens), tasks, context.scratch);
                });
}

void check_swiglu(Bench& bench, Checker& checker, DType gate_dtype, DType up_dtype, int64_t rows,
                  const Activations& activations) {
  const DeviceActivations on_device(bench, activations);
  const auto gate = PackedWeights::random(bench.engine, gate_dtype, rows, activations.cols);
  const auto up = PackedWeights::random(bench.engine, up_dtype, rows, activations.cols);
  const Memory gate_packed = bench.upload(gate.bytes), up_packed = bench.upload(up.bytes);
  const Expected expected =
      expected_swiglu(expected_product(gate, activations), expected_product(up, activations));
  const std::vector<float> poison(expected.value.size(), NAN);
  const double bound = std::max(tolerance(gate_dtype), tolerance(up_dtype));
  checker.check("swiglu with " + std::string(base::name(up_dtype)), bound, expected, poison,
                [&](const OpContext& context, int64_t tokens, Memory& y) {
                  prefill_swiglu(context, on_device.source(tokens), matrix(gate, gate_packed),
                                 matrix(up, up_packed), y.as_floats(), context.scratch);
                });
}

/// SwiGLU and the product of what it makes, plus the residual. The first batch is made by two
/// products, so that the others, made by both at once where there is a way, must have its bits.
void check_feed_forward(Bench& bench, Checker& checker, DType dtype, int64_t inner_rows,
                        const Activations& activations) {
  const DeviceActivations on_device(bench, activations);
  const auto gate = PackedWeights::random(bench.engine, dtype, inner_rows, activations.cols);
  const auto up = PackedWeights::random(bench.engine, dtype, inner_rows, activations.cols);
  const auto down = PackedWeights::random(bench.engine, dtype, 200, inner_rows);
  const Memory gate_packed = bench.upload(gate.bytes), up_packed = bench.upload(up.bytes);
  const Memory down_packed = bench.upload(down.bytes);
  Activations inner = activations;
  inner.cols = inner_rows;
  inner.expected =
      expected_swiglu(expected_product(gate, activations), expected_product(up, activations)).value;
  Expected expected = expected_product(down, inner);
  const std::vector<float> residual = bench.normal(kTokens * down.rows);
  // Errors of the inner numbers, which are as large as products of theirs, add up.
  for (size_t i = 0; i < residual.size(); ++i) {
    expected.value[i] += double{residual[i]};
    expected.unit[i] = 4 * expected.unit[i] + 1e-4 * std::abs(residual[i]);
  }
  const Memory floats = bench.upload(std::vector<float>(static_cast<size_t>(kTokens * inner_rows)));
  checker.check(
      "feed-forward", tolerance(dtype), expected, residual,
      [&](const OpContext& context, int64_t tokens, Memory& y) {
        const LinearTask task{
            .weight = matrix(down, down_packed), .residual = y.as_floats(), .y = y.as_floats()};
        const ActivationSource source = on_device.source(tokens);
        const PackedMatrix first = matrix(gate, gate_packed), second = matrix(up, up_packed);
        if (tokens != kBatches[0] &&
            prefill_feed_forward(context, source, first, second, task, context.scratch)) {
          return;
        }
        prefill_swiglu(context, source, first, second, floats.as_floats(), context.scratch);
        prefill_tasks(
            context,
            ActivationSource{.x = floats.as_floats(), .tokens = tokens, .cols = inner_rows},
            {&task, 1}, context.scratch);
      });
}

bool check_type(device::Device& device, device::Stream& stream, DType dtype,
                std::string_view path) {
  Bench bench{device, stream};
  const int64_t block = base::info(dtype).block_elements;
  // A fraction of a chunk, an odd number of columns where the type allows one, several chunks.
  const int64_t few = block == 1 ? 67 : block, many = block == 1 ? 1000 : 1280;
  const int64_t some = block == 1 ? 328 : block >= 256 ? 768 : 352 / block * block;
  const OpLimits limits{.tokens = kTokens, .sequences = 1, .cols = many, .rows = 420};
  Checker checker(device, stream, limits, path);
  check_tasks(bench, checker, dtype, 150, Activations(bench.engine, few, true));
  check_tasks(bench, checker, dtype, 1, Activations(bench.engine, some, true));
  check_tasks(bench, checker, dtype, 404, Activations(bench.engine, many, false));
  check_swiglu(bench, checker, dtype, dtype, 100, Activations(bench.engine, some, false));
  if (dtype == DType::kBF16) {
    check_feed_forward(bench, checker, dtype, 448, Activations(bench.engine, some, false));
  }
  const DType other = dtype == DType::kQ8_0 ? DType::kQ4_0 : DType::kQ8_0;
  check_swiglu(bench, checker, dtype, other, 71,
               Activations(bench.engine, block == 1 ? 320 : 768, false));
  std::printf("%-9s largest error %.2f of its bound, %.0e of |row| |token| for products: %s\n",
              std::string(base::name(dtype)).c_str(), checker.worst, tolerance(dtype),
              checker.passed ? "ok" : "FAILED");
  std::fflush(stdout);
  return checker.passed;
}

}  // namespace

bool check_prefill(device::Device& device, std::span<const DType> dtypes, std::string_view path) {
  auto stream = device.create_stream();
  CHECK(stream.has_value(), stream.error().message.c_str());
  bool passed = true;
  for (const DType dtype : dtypes) passed = check_type(device, **stream, dtype, path) && passed;
  ::unsetenv("NEUROS_CUDA_PATH");
  return passed;
}

}  // namespace neuros::bench
