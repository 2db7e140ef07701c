#include "pipeline/step_timer.h"

#include "base/check.h"
#include "pipeline/product_timer.h"
#include "runtime/executor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <vector>

namespace neuros::pipeline {
namespace {

constexpr int kWarmUps = 3;
/// Steps for each repetition that is asked for: they are short, and jump more than launches do.
constexpr int kStepsOfRepetition = 5;
constexpr int32_t kPosition = 64;  ///< of the step's token

/// A plan run one way.
struct Variant {
  plan::Plan plan;
  std::unique_ptr<device::Stream> stream;
  std::unique_ptr<runtime::Executor> executor;
  std::vector<double> times_us;
};

plan::Plan with_way(plan::Plan plan, Way way) {
  const std::string op(kernels::name(kernels::ChoiceOp::kDecodeStep));
  for (plan::KernelChoice& choice : plan.kernel_choices) {
    if (choice.op != op) continue;
    if (way) choice.value = *way;
    choice.source =
        way ? plan::KernelChoice::Source::kTable : plan::KernelChoice::Source::kEstimate;
  }
  return plan;
}

/// Random matrices; norms and biases of about one, so that rows keep a size.
base::Result<> make_up_weights(const plan::Plan& plan, device::Stream& stream,
                               std::span<std::byte> weights) {
  TRY(fill_random(stream, weights, Numbers::kWeights));
  for (const plan::WeightPlacement& weight : plan.weights) {
    if (weight.kind != plan::WeightPlacement::Kind::kVector) continue;
    const auto offset = static_cast<size_t>(weight.offset);
    const auto bytes = static_cast<size_t>(weight.cols) * sizeof(float);
    const std::vector<float> ones(static_cast<size_t>(weight.cols), 1.0f);
    stream.copy(weights.data() + offset, std::as_bytes(std::span(ones)).data(), bytes);
    TRY(stream.synchronize());
  }
  return {};
}

/// A batch of one decode step, of the first pages there are.
class OneStep {
 public:
  explicit OneStep(const plan::Plan& plan)
      : pages_(static_cast<size_t>(kPosition / plan.kv.page_tokens + 1)) {
    std::iota(pages_.begin(), pages_.end(), 0);
  }
  sched::Batch batch() const {
    return {.items = {{.first_position = kPosition,
                       .tokens = kTokens,
                       .pages = pages_,
                       .logits_last = true,
                       .decodes = true}}};
  }

 private:
  static constexpr std::array<sched::TokenId, 1> kTokens{};
  std::vector<sched::PageId> pages_;
};

base::Result<double> step_us(runtime::Executor& executor, const sched::Batch& batch) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  TRY(executor.forward(batch));
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

base::Result<std::unique_ptr<StepTimer>> StepTimer::create(const plan::Plan& plan,
                                                           const kernels::OpTable& ops,
                                                           device::Device& device) {
  const plan::Plan* const plans[] = {&plan};
  runtime::WorkArena work = TRY(runtime::WorkArena::reserve(plans, device));
  runtime::Arenas arenas = TRY(runtime::Arenas::reserve(plan.memory, device, work.of(0)));
  const auto stream = TRY(device.create_stream());
  TRY(make_up_weights(plan, *stream, arenas.weights));
  return std::unique_ptr<StepTimer>(
      new StepTimer(plan, ops, device, std::move(work), std::move(arenas)));
}

base::Result<std::vector<double>> StepTimer::time_us(const kernels::ChoiceKey& key,
                                                     std::span<const Way> ways, int repetitions) {
  CHECK(key.op == kernels::ChoiceOp::kDecodeStep);
  std::vector<Variant> variants(ways.size());
  for (size_t i = 0; i < ways.size(); ++i) {
    Variant& variant = variants[i];
    variant.plan = with_way(plan_, ways[i]);
    variant.stream = TRY(device_.create_stream());
    variant.executor =
        std::make_unique<runtime::Executor>(variant.plan, ops_, *variant.stream, arenas_);
  }
  const OneStep step(plan_);
  const sched::Batch batch = step.batch();
  for (Variant& variant : variants) {
    for (int i = 0; i < kWarmUps; ++i) TRY(variant.executor->forward(batch));
  }
  for (int i = 0; i < repetitions * kStepsOfRepetition; ++i) {
    for (Variant& variant : variants) {
      variant.times_us.push_back(TRY(step_us(*variant.executor, batch)));
    }
  }
  std::vector<double> medians;
  for (Variant& variant : variants) medians.push_back(median(variant.times_us));
  return medians;
}

}  // namespace neuros::pipeline
