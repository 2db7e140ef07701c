#include "pipeline/product_timer.h"

#include "base/check.h"

#include <algorithm>
#include <random>

namespace neuros::pipeline {
namespace {

using kernels::ChoiceKey;
using kernels::ChoiceOp;

/// Weights that launches go through: many times what a second-level cache holds.
constexpr int64_t kWeightBytes = int64_t{1} << 30;
/// What a repetition takes, about.
constexpr double kRepetitionUs = 500;
/// Of a large GPU, to guess how many launches that is: bytes and operations in a microsecond.
constexpr double kBytesPerUs = 3e6, kFlopsPerUs = 5e8;
constexpr int64_t kLaunchesMin = 4, kLaunchesMax = 100;

bool is_gated(const ChoiceKey& key) {
  return key.op == ChoiceOp::kPromptGated || key.op == ChoiceOp::kDecodeManyGated;
}
bool is_prompt(const ChoiceKey& key) {
  return key.op == ChoiceOp::kPrompt || key.op == ChoiceOp::kPromptGated;
}

int64_t aligned(int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

kernels::OpLimits limits_of(std::span<const ChoiceKey> keys) {
  kernels::OpLimits limits{
      .sequences = 1, .heads = 1, .head_dim = 16, .context = 16, .logit_rows = 1};
  for (const ChoiceKey& key : keys) {
    limits.tokens = std::max(limits.tokens, key.tokens);
    limits.cols = std::max(limits.cols, key.cols);
    limits.rows = std::max(limits.rows, key.rows);
  }
  return limits;
}

/// A choice for each way; of the estimate none.
std::vector<kernels::KernelChoices> choices_of(ChoiceKey key, std::span<const Way> ways) {
  key.tokens = kernels::token_bucket(key.op, key.tokens);
  std::vector<kernels::KernelChoices> choices;
  for (const Way& way : ways) {
    choices.push_back(way ? kernels::KernelChoices({{key, *way}}) : kernels::KernelChoices());
  }
  return choices;
}

/// Of laps in turns of one for each way, the median of each way; per launch.
std::vector<double> medians(std::span<const double> laps, size_t ways, int64_t launches) {
  std::vector<double> found;
  for (size_t way = 0; way < ways; ++way) {
    std::vector<double> of_way;
    for (size_t i = way; i < laps.size(); i += ways) of_way.push_back(laps[i]);
    found.push_back(median(std::move(of_way)) / static_cast<double>(launches));
  }
  return found;
}

}  // namespace

base::Result<> fill_random(device::Stream& stream, std::span<std::byte> memory, Numbers numbers) {
  const bool weights = numbers == Numbers::kWeights;
  const uint32_t kept = weights ? 0x1fff1fff : 0x807fffff, set = weights ? 0 : 0x3f000000;
  std::mt19937 random(1);
  std::vector<uint32_t> words(size_t{4} << 20);
  for (uint32_t& word : words) word = (static_cast<uint32_t>(random()) & kept) | set;
  const auto piece = std::as_bytes(std::span(words));
  for (size_t at = 0; at < memory.size(); at += piece.size()) {
    stream.copy(memory.data() + at, piece.data(), std::min(piece.size(), memory.size() - at));
  }
  return stream.synchronize();
}

base::Result<std::unique_ptr<ProductTimer>> ProductTimer::create(const kernels::OpTable& ops,
                                                                 device::Device& device,
                                                                 std::span<const ChoiceKey> keys) {
  std::unique_ptr<ProductTimer> timer(new ProductTimer(ops, device));
  timer->limits_ = limits_of(keys);
  int64_t weights = kWeightBytes, x = 0, y = 0;  // bytes
  for (const ChoiceKey& key : keys) {
    weights = std::max(weights, timer->weight_bytes(key));
    x = std::max(x, key.tokens * key.cols * 4);
    y = std::max(y, key.tokens * key.rows * 4);
  }
  const auto reserve = [&](int64_t bytes) {
    return device.reserve(static_cast<size_t>(bytes), "tuning");
  };
  timer->weights_ = TRY(reserve(weights));
  timer->x_ = TRY(reserve(x));
  timer->y_ = TRY(reserve(y));
  timer->norm_ = TRY(reserve(timer->limits_.cols * 4));
  timer->scratch_ = TRY(reserve(ops.scratch_bytes(timer->limits_)));
  auto stream = TRY(device.create_stream());
  TRY(fill_random(*stream, timer->weights_.span(), Numbers::kWeights));
  TRY(fill_random(*stream, timer->x_.span(), Numbers::kFloats));
  TRY(fill_random(*stream, timer->norm_.span(), Numbers::kFloats));
  return timer;
}

int64_t ProductTimer::weight_bytes(const ChoiceKey& key) const {
  const kernels::LinearKernel& kernel = ops_.linear_for(key.dtype);
  if (!is_gated(key)) return aligned(kernel.packed_bytes(key.rows, key.cols));
  return 2 * aligned(kernel.packed_bytes(key.rows / 2, key.cols));
}

int64_t ProductTimer::launches_of(const ChoiceKey& key) const {
  const double flops = 2.0 * static_cast<double>(key.rows * key.cols * key.tokens);
  const double launch_us =
      std::max(static_cast<double>(weight_bytes(key)) / kBytesPerUs, flops / kFlopsPerUs) + 2.0;
  return std::clamp(static_cast<int64_t>(kRepetitionUs / launch_us), kLaunchesMin, kLaunchesMax);
}

void ProductTimer::launch(const kernels::OpContext& context, const ChoiceKey& key,
                          int64_t i) const {
  const int64_t bytes = weight_bytes(key);
  const std::byte* const at = weights_.data() + i % (std::ssize(weights_.span()) / bytes) * bytes;
  const auto* x = reinterpret_cast<const float*>(x_.data());
  auto* y = reinterpret_cast<float*>(y_.data());
  const int64_t decode_tokens = is_prompt(key) ? 0 : key.tokens;
  if (!is_gated(key)) {
    ops_.linear_for(key.dtype).run(context, {.weight = {key.dtype, key.rows, key.cols, at},
                                             .x = x,
                                             .y = y,
                                             .tokens = key.tokens,
                                             .decode_tokens = decode_tokens});
    return;
  }
  ops_.gate_up(context, {.x = x,
                         .norm_weight = reinterpret_cast<const float*>(norm_.data()),
                         .gate = {key.dtype, key.rows / 2, key.cols, at},
                         .up = {key.dtype, key.rows / 2, key.cols, at + bytes / 2},
                         .out = y,
                         .tokens = key.tokens,
                         .decode_tokens = decode_tokens});
}

base::Result<std::vector<double>> ProductTimer::time_us(const ChoiceKey& key,
                                                        std::span<const Way> ways,
                                                        int repetitions) {
  CHECK(key.op != ChoiceOp::kDecodeStep);
  auto stream = TRY(device_.create_stream());  // of its own: it keeps what is recorded
  const auto stopwatch = stream->create_stopwatch();
  const std::vector<kernels::KernelChoices> choices = choices_of(key, ways);
  const int64_t launches = launches_of(key);
  const auto run = [&](size_t way, int64_t count) {
    const kernels::OpContext context{.stream = *stream,
                                     .scratch = scratch_.span(),
                                     .limits = limits_,
                                     .choices = ways[way] ? &choices[way] : nullptr};
    for (int64_t i = 0; i < count; ++i) launch(context, key, i);
  };
  const auto run_recorded = [&](size_t way) {
    stream->run_recorded(way + 1, [&] { run(way, launches); });
  };
  for (size_t way = 0; way < ways.size(); ++way) {
    run(way, 1);  // loads its kernels
    run_recorded(way);
  }
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (size_t way = 0; way < ways.size(); ++way) {
      stopwatch->mark();
      run_recorded(way);
    }
  }
  stopwatch->mark();
  TRY(stream->synchronize());
  return medians(stopwatch->laps_us(), ways.size(), launches);
}

}  // namespace neuros::pipeline
