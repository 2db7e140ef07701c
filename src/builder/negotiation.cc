#include "builder/negotiation.h"

#include "base/byte_size.h"
#include "builder/conflict.h"
#include "builder/footprint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

namespace neuros::builder {
namespace {

using plan::Residency;

constexpr std::array kWhole = {Residency::kAllStay, Residency::kTogether, Residency::kOneAtATime};

/// How much more an error in a model matters than in one of low priority.
double weight_of(sched::Priority priority) {
  switch (priority) {
    case sched::Priority::kCritical:
      return 4;
    case sched::Priority::kMedium:
      return 2;
    default:
      return 1;
  }
}

/// One group of weights taken to a level of fewer bytes.
struct PrecisionStep {
  size_t model = 0, group = 0;
  int32_t from = 0, to = 0;
};

class Negotiator {
 public:
  explicit Negotiator(const FleetDemand& fleet) : fleet_(fleet), order_(fleet.models.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::ranges::stable_sort(order_, std::less<>(), [&](size_t i) { return priority(i); });
  }

  base::Result<Agreement> run();

 private:
  sched::Priority priority(size_t model) const { return fleet_.models[model].priority; }
  const ModelDemand& demand(size_t model) const { return fleet_.models[model]; }

  void ask_for_everything();
  bool fits(Residency residency) const {
    return footprint(fleet_, grants_, residency) <= fleet_.memory_bytes;
  }
  bool is_quick(Residency residency) const;
  bool settle_on(Residency residency);
  bool settle_on_any();
  bool settle_while(Residency residency);
  bool settle_with_less_precision();
  bool settle();
  void cap_contexts(int32_t most);
  bool shorten_a_context(int32_t ModelDemand::*least);
  std::optional<PrecisionStep> cheapest_step() const;
  /// The less, the sooner a step is taken.
  using Cost = std::tuple<double, double, double>;
  Cost cost_of(const PrecisionStep& step) const;
  void give_back();
  void give_back_precision();
  void give_back_context(size_t model);
  bool give_back_room();
  void explain();
  void explain_model(size_t model);
  void explain_precision(size_t model);
  std::string residency_reason() const;

  const FleetDemand& fleet_;
  std::vector<size_t> order_;  ///< models, the least important first
  std::vector<ModelGrant> grants_;
  std::vector<PrecisionStep> steps_;  ///< as made
  Residency residency_ = Residency::kAllStay;
  bool keeps_onload_limit_ = true;
  std::vector<std::string> reasons_;
};

void Negotiator::ask_for_everything() {
  grants_.clear();
  steps_.clear();
  for (const ModelDemand& model : fleet_.models) grants_.push_back(wish_of(model));
}

/// Whether weights that come and go come within the time a request may wait.
bool Negotiator::is_quick(Residency residency) const {
  if (residency == Residency::kAllStay || !keeps_onload_limit_ || fleet_.onload_us_max <= 0) {
    return true;
  }
  return onload_us(fleet_, grants_) <= fleet_.onload_us_max;
}

bool Negotiator::settle_on(Residency residency) {
  if (residency == Residency::kTogether && fleet_.together.empty()) return false;
  if (!is_quick(residency) || !fits(residency)) return false;
  residency_ = residency;
  return true;
}

bool Negotiator::settle_on_any() {
  return std::ranges::any_of(kWhole, [&](Residency residency) { return settle_on(residency); });
}

void Negotiator::cap_contexts(int32_t most) {
  for (size_t i = 0; i < grants_.size(); ++i) {
    grants_[i].full_contexts = std::min(demand(i).full_contexts, most);
  }
}

/// Everything is asked for anew; room and context are given up for it to be so.
bool Negotiator::settle_while(Residency residency) {
  ask_for_everything();
  int32_t most = 1;
  for (const ModelDemand& model : fleet_.models) most = std::max(most, model.full_contexts);
  for (int32_t contexts = most; contexts >= 1; --contexts) {
    cap_contexts(contexts);
    if (settle_on(residency)) return true;
  }
  while (shorten_a_context(&ModelDemand::context_min)) {
    if (settle_on(residency)) return true;
  }
  return false;
}

/// The halving that frees most of what is a model's own, of the models of the lowest priority that
/// have one left.
bool Negotiator::shorten_a_context(int32_t ModelDemand::*least) {
  std::optional<size_t> best;
  int64_t best_freed = 0;
  for (const size_t i : order_) {
    if (best && priority(i) > priority(*best)) break;
    ModelGrant shorter = grants_[i];
    shorter.context = std::max(demand(i).*least, shorter.context / 2);
    if (shorter.context >= grants_[i].context) continue;
    const int64_t freed =
        work_bytes(demand(i), grants_[i]).own - work_bytes(demand(i), shorter).own;
    if (best && freed <= best_freed) continue;
    best = i;
    best_freed = freed;
  }
  if (!best) return false;
  grants_[*best].context = std::max(demand(*best).*least, grants_[*best].context / 2);
  return true;
}

/// Errors within a factor of ten are alike; then it is where they are that counts, and then what
/// each byte costs that they free.
Negotiator::Cost Negotiator::cost_of(const PrecisionStep& step) const {
  const WeightGroup& group = demand(step.model).groups[step.group];
  const auto from = static_cast<size_t>(step.from), to = static_cast<size_t>(step.to);
  const double error = std::max(1e-30, group.error[to] - group.error[from]);
  const auto freed = static_cast<double>(group.bytes[from] - group.bytes[to]);
  return {std::floor(std::log10(error)), group.care * weight_of(priority(step.model)),
          error / freed};
}

std::optional<PrecisionStep> Negotiator::cheapest_step() const {
  std::optional<PrecisionStep> best;
  Cost best_cost{};
  for (const size_t model : order_) {
    const auto levels = static_cast<int32_t>(demand(model).levels.size());
    for (size_t group = 0; group < grants_[model].levels.size(); ++group) {
      const std::vector<int64_t>& bytes = demand(model).groups[group].bytes;
      PrecisionStep step{model, group, grants_[model].levels[group], 0};
      step.to = step.from + 1;
      while (step.to < levels &&
             bytes[static_cast<size_t>(step.to)] >= bytes[static_cast<size_t>(step.from)]) {
        ++step.to;
      }
      if (step.to >= levels) continue;
      const Cost cost = cost_of(step);
      if (best && cost >= best_cost) continue;
      best = step;
      best_cost = cost;
    }
  }
  return best;
}

bool Negotiator::settle_with_less_precision() {
  while (const auto step = cheapest_step()) {
    grants_[step->model].levels[step->group] = step->to;
    steps_.push_back(*step);
    if (settle_on_any()) return true;
  }
  return false;
}

bool Negotiator::settle() {
  for (const Residency residency : kWhole) {
    if (settle_while(residency)) return true;
  }
  while (shorten_a_context(&ModelDemand::context_least)) {
    if (settle_on_any()) return true;
  }
  return settle_with_less_precision();
}

void Negotiator::give_back_precision() {
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    int32_t& level = grants_[step->model].levels[step->group];
    if (level != step->to) continue;  // a later step went on from here and stays
    level = step->from;
    if (!fits(residency_) || !is_quick(residency_)) level = step->to;
  }
}

void Negotiator::give_back_context(size_t model) {
  int32_t& context = grants_[model].context;
  while (context < demand(model).context) {
    const int32_t shorter = context;
    context = std::min(demand(model).context, shorter * 2);
    if (fits(residency_)) continue;
    context = shorter;
    return;
  }
}

/// A full context more for each model that asked for it, the most important first.
bool Negotiator::give_back_room() {
  bool any = false;
  for (auto model = order_.rbegin(); model != order_.rend(); ++model) {
    int32_t& contexts = grants_[*model].full_contexts;
    if (contexts >= demand(*model).full_contexts) continue;
    ++contexts;
    if (fits(residency_)) {
      any = true;
    } else {
      --contexts;
    }
  }
  return any;
}

void Negotiator::give_back() {
  give_back_precision();
  for (auto model = order_.rbegin(); model != order_.rend(); ++model) give_back_context(*model);
  while (give_back_room()) {
  }
}

std::string Negotiator::residency_reason() const {
  switch (residency_) {
    case Residency::kAllStay:
      return "weights: all fit beside everything else, and stay";
    case Residency::kTogether:
      return "weights: come and go; those of models that work at the same time fit together";
    case Residency::kOneAtATime:
      return "weights: come and go; any one model fits as a whole";
    default:
      return "weights: the largest model does not fit: its layers come and go in every pass";
  }
}

void Negotiator::explain_precision(size_t model) {
  const ModelDemand& asked = demand(model);
  for (size_t level = 1; level < asked.levels.size(); ++level) {
    int64_t groups = 0, freed = 0;
    double error = 0;
    std::string names;
    for (size_t i = 0; i < asked.groups.size(); ++i) {
      if (static_cast<size_t>(grants_[model].levels[i]) != level) continue;
      const WeightGroup& group = asked.groups[i];
      if (++groups <= 3) names += (names.empty() ? "" : ", ") + group.name;
      freed += group.bytes[0] - group.bytes[level];
      error = std::max(error, group.error[level]);
    }
    if (groups == 0) continue;
    char text[48];
    std::snprintf(text, sizeof(text), "%.2g", error);
    reasons_.push_back(asked.id + ": " + asked.levels[level] + " for " + std::to_string(groups) +
                       " of " + std::to_string(asked.groups.size()) + " groups of weights (" +
                       names + (groups > 3 ? ", ..." : "") + "): " + base::mebibytes(freed) +
                       " less, relative squared error at most " + text);
  }
}

void Negotiator::explain_model(size_t model) {
  const ModelDemand& asked = demand(model);
  const ModelGrant& granted = grants_[model];
  if (granted.context < asked.context) {
    ModelGrant whole = granted;
    whole.context = asked.context;
    reasons_.push_back(
        asked.id + ": context " + std::to_string(asked.context) + " -> " +
        std::to_string(granted.context) + ", " +
        base::mebibytes(work_bytes(asked, whole).own - work_bytes(asked, granted).own) + " less");
  }
  if (granted.full_contexts < asked.full_contexts) {
    reasons_.push_back(asked.id + ": keys and values for " + std::to_string(granted.full_contexts) +
                       " of " + std::to_string(asked.full_contexts) + " full contexts");
  }
  explain_precision(model);
}

void Negotiator::explain() {
  std::vector<ModelGrant> wishes;
  for (const ModelDemand& model : fleet_.models) wishes.push_back(wish_of(model));
  const int64_t wished = footprint(fleet_, wishes, Residency::kAllStay);
  if (wished > fleet_.memory_bytes) {
    reasons_.push_back("memory: all that was asked for is " + base::mebibytes(wished) +
                       ", the budget " + base::mebibytes(fleet_.memory_bytes));
  }
  if (!keeps_onload_limit_) {
    reasons_.push_back("objective: weights take " +
                       std::to_string(onload_us(fleet_, grants_) / 1000) +
                       " ms to come, a first token was asked for within " +
                       std::to_string(fleet_.onload_us_max / 1000) + " ms: not kept");
  }
  const bool rates_known = std::ranges::all_of(
      fleet_.models, [](const ModelDemand& model) { return model.onload_bytes_per_s > 0; });
  if (fleet_.onload_us_max > 0 && !rates_known && residency_ != Residency::kAllStay) {
    reasons_.push_back("objective: how fast weights come is not known; a hardware profile says it");
  }
  reasons_.push_back(residency_reason());
  for (size_t i = 0; i < fleet_.models.size(); ++i) explain_model(i);
}

base::Result<Agreement> Negotiator::run() {
  bool settled = settle();
  if (!settled && fleet_.onload_us_max > 0) {
    keeps_onload_limit_ = false;
    settled = settle();
  }
  if (!settled) {
    if (!fits(Residency::kStreams)) {
      return base::fail(describe_conflict(fleet_), base::ErrorKind::kOutOfMemory);
    }
    residency_ = Residency::kStreams;
  }
  give_back();
  explain();
  return Agreement{residency_, std::move(grants_), std::move(reasons_)};
}

}  // namespace

base::Result<Agreement> negotiate(const FleetDemand& fleet) {
  if (fleet.models.empty()) return base::fail("plan: a fleet without models");
  return Negotiator(fleet).run();
}

}  // namespace neuros::builder
