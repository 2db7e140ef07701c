#include "cuda/prefill_layer.h"

#include "base/check.h"
#include "cuda/event_timer.h"
#include "cuda/packed_weights.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/prefill_product.h"
#include "kernels/op_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace neuros::bench {
namespace {

using base::DType;
using kernels::OpContext;
using kernels::OpLimits;
using kernels::OpTable;
using kernels::PackedMatrix;

constexpr int64_t kHidden = 4096, kFfn = 14336, kHeads = 32, kKvHeads = 8, kHeadDim = 128;
constexpr int64_t kKvRows = kKvHeads * kHeadDim;
constexpr int kModelLayers = 32;
/// Layers with weights of their own, so that none is still in L2 when its turn comes again.
constexpr int kLayers = 3;
constexpr int64_t kPageTokens = 32;

device::Buffer reserve(device::Device& device, int64_t bytes) {
  auto buffer = device.reserve(static_cast<size_t>(bytes), "layer bench");
  CHECK(buffer.has_value(), buffer.error().message.c_str());
  return std::move(*buffer);
}

float* floats(const device::Buffer& buffer) {
  return reinterpret_cast<float*>(buffer.data());
}

/// What an op needs at least.
struct Work {
  double gflop = 0, mbytes = 0;

  Work operator+(const Work& other) const { return {gflop + other.gflop, mbytes + other.mbytes}; }
};

struct LayerWeights {
  PackedMatrix q, k, v, o, gate, up, down;
};

/// A layer's ops over buffers in device memory.
class Layer {
 public:
  Layer(device::Device& device, device::Stream& stream, DType dtype, int64_t tokens)
      : device_(device), stream_(stream), dtype_(dtype), tokens_(tokens) {
    limits_ = {.tokens = tokens,
               .sequences = 1,
               .cols = kFfn,
               .rows = kFfn,
               .heads = kHeads,
               .head_dim = kHeadDim,
               .context = tokens,
               .logit_rows = 1};
    make_buffers();
    for (LayerWeights& weights : weights_) {
      weights = {.q = matrix(kHidden, kHidden),
                 .k = matrix(kKvRows, kHidden),
                 .v = matrix(kKvRows, kHidden),
                 .o = matrix(kHidden, kHidden),
                 .gate = matrix(kFfn, kHidden),
                 .up = matrix(kFfn, kHidden),
                 .down = matrix(kHidden, kFfn)};
    }
    stage();
  }

  /// The ops by which a layer goes, each of layer `index`; those that run together as one.
  struct Step {
    const char* name;
    Work work;
    std::function<void(int index)> run;
  };
  std::vector<Step> ops() {
    const Work attention = attention_work();
    return {
        {"qkv_rope (norm, products, heads)", products(kHidden + 2 * kKvRows, kHidden),
         [this](int i) { ops_.qkv_rope(context(), qkv_args(i)); }},
        {"attention and o (residual)", attention + products(kHidden, kHidden),
         [this](int i) { attend(i); }},
        {"gate_up and down (norm, residual)", products(3 * kFfn, kHidden),
         [this](int i) { feed_forward(i); }},
    };
  }

  /// Parts of ops, alone. Their data is in L2 where it has room; the weights' is not.
  std::vector<Step> parts() {
    const Work attention = attention_work();
    return {
        {"RMSNorm, QKV, RoPE, KV write, alone", products(kHidden + 2 * kKvRows, kHidden),
         [this](int i) { ops_.qkv_rope(context(), qkv_args(i)); }},
        {"attention, alone", attention,
         [this](int i) { ops_.attention(context(), attention_args(i)); }},
        {"o (residual), alone", products(kHidden, kHidden),
         [this](int i) { linear(context(), weight(i).o, attended_, x_); }},
        {"gate_up (norm, swiglu), alone", products(2 * kFfn, kHidden),
         [this](int i) { gate_up(context(), i); }},
        {"down (residual), alone", products(kHidden, kFfn),
         [this](int i) { linear(context(), weight(i).down, hidden_, x_); }},
        {"prepare 4096, QKV products", products(kHidden + 2 * kKvRows, kHidden),
         [this](int i) { qkv_products(i); }},
        {"prepare 4096, norm", prepare_bytes(kHidden), [this](int) { prepare(x_, kHidden, true); }},
        {"prepare 4096", prepare_bytes(kHidden), [this](int) { prepare(x_, kHidden, false); }},
        {"prepare 14336", prepare_bytes(kFfn), [this](int) { prepare(hidden_, kFfn, false); }},
        {"finish heads",
         {0, 1e-6 * static_cast<double>(tokens_ * (8 * kHidden + 12 * kKvRows))},
         [this](int i) {
           kernels::cuda::finish_heads(context(), qkv_args(i), floats(k_), floats(v_));
         }},
    };
  }

 private:
  static constexpr float kEpsilon = 1e-5f;

  OpContext context() { return {stream_, scratch_.span(), host_.span(), limits_}; }
  const LayerWeights& weight(int index) const {
    return weights_[static_cast<size_t>(index % kLayers)];
  }

  Work products(double rows, double cols) const {
    const double weight_bytes = static_cast<double>(kernels::cuda::panel_bytes(dtype_, kHidden)) /
                                (kernels::cuda::kPanelRows * kHidden);
    return {2e-9 * rows * cols * static_cast<double>(tokens_), 1e-6 * rows * cols * weight_bytes};
  }
  /// Half of the scores are masked.
  Work attention_work() const {
    return {2e-9 * kHeads * kHeadDim * static_cast<double>(tokens_ * tokens_)};
  }
  Work prepare_bytes(int64_t cols) const { return {0, 6e-6 * static_cast<double>(tokens_ * cols)}; }

  void make_buffers() {
    x_ = random_floats(tokens_ * kHidden);
    norm_ = random_floats(kHidden);
    hidden_ = random_floats(tokens_ * kFfn);
    k_ = random_floats(tokens_ * kKvRows);
    v_ = random_floats(tokens_ * kKvRows);
    rope_ = random_floats(tokens_ * kHeadDim);
    q_ = reserve(device_, 4 * tokens_ * kHidden);
    attended_ = reserve(device_, 4 * tokens_ * kHidden);
    scratch_ = reserve(device_, ops_.scratch_bytes(limits_));
    auto host = device_.reserve_host(static_cast<size_t>(ops_.host_bytes(limits_)), "layer bench");
    CHECK(host.has_value(), host.error().message.c_str());
    host_ = std::move(*host);
    kv_.layout = {.layers = kModelLayers, .kv_heads = kKvHeads, .head_dim = kHeadDim};
    pages_.resize(static_cast<size_t>((tokens_ + kPageTokens - 1) / kPageTokens));
    std::iota(pages_.begin(), pages_.end(), 0);
    arena_ = reserve(device_, std::ssize(pages_) * kv_.layout.page_bytes());
    kv_.arena = arena_.data();
  }

  device::Buffer random_floats(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(engine_);
    device::Buffer out = reserve(device_, 4 * count);
    stream_.copy(out.data(), reinterpret_cast<const std::byte*>(values.data()), values.size() * 4);
    CHECK(stream_.synchronize().has_value());
    return out;
  }

  /// A matrix of which 128 rows are repeated.
  PackedMatrix matrix(int64_t rows, int64_t cols) {
    constexpr int64_t kRows = 128;
    const PackedWeights some = PackedWeights::random(engine_, dtype_, kRows, cols);
    const auto bytes = std::ssize(some.bytes);
    storage_.push_back(reserve(device_, bytes * (rows / kRows)));
    std::byte* data = storage_.back().data();
    for (int64_t i = 0; i < rows / kRows; ++i) {
      stream_.copy(data + i * bytes, some.bytes.data(), some.bytes.size());
    }
    CHECK(stream_.synchronize().has_value());
    return {dtype_, rows, cols, data};
  }

  void stage() {
    slice_ = {.rows = static_cast<int32_t>(tokens_), .pages = pages_};
    ids_.resize(static_cast<size_t>(tokens_));
    ops_.stage_batch(context(), {.ids = ids_, .sequences = {&slice_, 1}, .logit_rows = {}});
    CHECK(stream_.synchronize().has_value());
  }

  kernels::QkvRopeArgs qkv_args(int index) {
    return {.x = floats(x_),
            .norm_weight = floats(norm_),
            .epsilon = kEpsilon,
            .wq = weight(index).q,
            .wk = weight(index).k,
            .wv = weight(index).v,
            .rope_table = floats(rope_),
            .rope_dims = kHeadDim,
            .rope_style = kernels::RopeStyle::kInterleaved,
            .heads = kHeads,
            .sequences = {&slice_, 1},
            .kv = kv_,
            .layer = index % kModelLayers,
            .q = floats(q_),
            .tokens = tokens_};
  }

  kernels::AttentionArgs attention_args(int index) {
    return {.q = floats(q_),
            .out = floats(attended_),
            .sequences = {&slice_, 1},
            .kv = kv_,
            .layer = index % kModelLayers,
            .heads = kHeads,
            .scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim))};
  }

  void linear(const OpContext& context, const PackedMatrix& weight, const device::Buffer& from,
              const device::Buffer& to) {
    ops_.linear_for(dtype_).run(context, {.weight = weight,
                                          .x = floats(from),
                                          .residual = floats(to),
                                          .y = floats(to),
                                          .tokens = tokens_});
  }

  void qkv_products(int index) {
    const LayerWeights& of = weight(index);
    const kernels::cuda::LinearTask tasks[]{{.weight = of.q, .y = floats(q_)},
                                            {.weight = of.k, .y = floats(k_)},
                                            {.weight = of.v, .y = floats(v_)}};
    kernels::cuda::linear_tasks(context(), {.x = floats(x_), .tokens = tokens_, .cols = kHidden},
                                tasks, scratch_.span().subspan(size_t{1} << 20));
  }

  /// Ops as those of a pass.
  void run_pass(base::FunctionRef<void(const OpContext&)> ops) {
    ops_.run_pass(context(), {.ids = ids_, .sequences = {&slice_, 1}, .logit_rows = {}}, ops);
  }

  void attend(int index) {
    run_pass([&](const OpContext& context) {
      ops_.attention(context, attention_args(index));
      linear(context, weight(index).o, attended_, x_);
    });
  }

  void feed_forward(int index) {
    run_pass([&](const OpContext& context) {
      gate_up(context, index);
      linear(context, weight(index).down, hidden_, x_);
    });
  }

  void gate_up(const OpContext& context, int index) {
    ops_.gate_up(context, {.x = floats(x_),
                           .norm_weight = floats(norm_),
                           .epsilon = kEpsilon,
                           .gate = weight(index).gate,
                           .up = weight(index).up,
                           .out = floats(hidden_),
                           .tokens = tokens_});
  }

  void prepare(const device::Buffer& from, int64_t cols, bool norm) {
    using kernels::cuda::prefill::Prepared;
    kernels::cuda::prefill::PrepareArgs args;
    args.source = {.x = floats(from),
                   .norm_weight = norm ? floats(norm_) : nullptr,
                   .tokens = tokens_,
                   .cols = cols};
    args.padded_tokens = (tokens_ + 63) / 64 * 64;
    args.padded_cols = cols;
    const std::span<std::byte> scratch = scratch_.span().subspan(size_t{1} << 20);
    args.token_factors = reinterpret_cast<float*>(scratch.data());
    args.out = scratch.data() + (size_t{64} << 10);
    const auto kind = dtype_ == DType::kBF16 ? Prepared::kBF16 : Prepared::kF16;
    prepare_activations(context(), kind, args);
  }

  device::Device& device_;
  device::Stream& stream_;
  const OpTable& ops_ = *kernels::cuda_ops();
  DType dtype_;
  int64_t tokens_;
  OpLimits limits_;
  std::mt19937 engine_{7};
  std::vector<device::Buffer> storage_;
  std::array<LayerWeights, kLayers> weights_;
  device::Buffer x_, norm_, hidden_, k_, v_, rope_, q_, attended_, scratch_, host_, arena_;
  kernels::KvCache kv_;
  std::vector<int32_t> pages_, ids_;
  kernels::SequenceSlice slice_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Report {
 public:
  explicit Report(const LayerOptions& options) : options_(options) {}

  void print(const char* name, const Work& work, double us) const {
    const double bound =
        std::max(1e3 * work.gflop / options_.tflops, work.mbytes / options_.tbytes);
    std::printf("  %-36s %9.1f %9.1f %5.0f%%", name, us, bound, 100 * bound / us);
    if (work.gflop > 0) std::printf(" %8.1f", 1e3 * work.gflop / us);
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  const LayerOptions& options_;
};

/// The median time of each op between the others, over passes of all layers.
void measure_ops(cudaStream_t stream, const std::vector<Layer::Step>& ops, const Report& report) {
  constexpr int kPasses = 30;
  std::vector<Event> marks(ops.size() + 1);
  std::vector<std::vector<double>> times(ops.size());
  for (int pass = 0; pass < kPasses; ++pass) {
    for (int ahead = 0; ahead < 2; ++ahead) {  // the events' layer is well behind the host
      for (const Layer::Step& op : ops) op.run(2 * pass + ahead);
    }
    marks[0].record(stream);
    for (size_t i = 0; i < ops.size(); ++i) {
      ops[i].run(2 * pass + 2);
      marks[i + 1].record(stream);
    }
    marks.back().wait();
    for (size_t i = 0; i < ops.size(); ++i) {
      times[i].push_back(1e3 * marks[i + 1].milliseconds_since(marks[i]));
    }
  }
  for (size_t i = 0; i < ops.size(); ++i) report.print(ops[i].name, ops[i].work, median(times[i]));
}

void measure_parts(cudaStream_t stream, const std::vector<Layer::Step>& parts,
                   const Report& report) {
  constexpr int kRuns = 20, kInRow = 20;
  EventTimer timer(stream);
  for (const Layer::Step& part : parts) {
    std::vector<double> times;
    for (int run = 0; run < kRuns; ++run) {
      times.push_back(1e3 / kInRow * timer.milliseconds([&] {
        for (int i = 0; i < kInRow; ++i) part.run(i);
      }));
    }
    report.print(part.name, part.work, median(times));
  }
}

/// A pass of several layers, as launches and recorded.
void measure_whole(device::Stream& stream, const std::vector<Layer::Step>& ops,
                   const Report& report) {
  constexpr int kRuns = 20, kInRow = 8;
  Work work;
  for (const Layer::Step& op : ops) work.gflop += op.work.gflop;
  const auto pass = [&] {
    for (int i = 0; i < kInRow; ++i) {
      for (const Layer::Step& op : ops) op.run(i);
    }
  };
  EventTimer timer(static_cast<cudaStream_t>(stream.native_handle()));
  std::vector<double> launched, recorded;
  for (int run = 0; run < kRuns; ++run) {
    launched.push_back(1e3 / kInRow * timer.milliseconds(pass));
    recorded.push_back(1e3 / kInRow * timer.milliseconds([&] { stream.run_recorded(1, pass); }));
  }
  report.print("layer, launch by launch", work, median(launched));
  report.print("layer, recorded", work, median(recorded));
}

}  // namespace

void measure_layer(device::Device& device, const LayerOptions& options) {
  CHECK(kernels::cuda_ops() != nullptr);
  const Report report(options);
  for (const DType dtype : options.types) {
    auto stream = device.create_stream();
    CHECK(stream.has_value(), stream.error().message.c_str());
    const auto handle = static_cast<cudaStream_t>((*stream)->native_handle());
    Layer layer(device, **stream, dtype, options.tokens);
    std::printf("%s, %lld tokens\n  %-36s %9s %9s %6s %8s\n",
                std::string(base::name(dtype)).c_str(), static_cast<long long>(options.tokens), "",
                "us", "bound us", "share", "TFLOP/s");
    const std::vector<Layer::Step> ops = layer.ops();
    measure_ops(handle, ops, report);
    measure_parts(handle, layer.parts(), report);
    measure_whole(**stream, ops, report);
  }
}

}  // namespace neuros::bench
