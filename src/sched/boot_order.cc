#include "sched/boot_order.h"

#include "base/check.h"

#include <algorithm>
#include <tuple>

namespace neuros::sched {

BootOrder::BootOrder(const std::vector<ModelId>& order) : models_(order.size()) {
  std::vector<bool> placed(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    const auto model = static_cast<size_t>(order[place]);
    CHECK(model < order.size() && !placed[model], "an order has every model once");
    placed[model] = true;
    models_[model].place = place;
  }
}

void BootOrder::set_demand(ModelId model, const Demand& demand) {
  Model& m = at(model);
  if (demand.work && !m.demand.work) m.demanded_as = ++demands_;
  m.demand = demand;
}

void BootOrder::expect(ModelId model, bool expected) {
  at(model).expected = expected;
}

void BootOrder::finished(ModelId model, bool ready) {
  CHECK(at(model).state == BootState::kPreparing);
  at(model).state = ready ? BootState::kReady : BootState::kFailed;
}

bool BootOrder::comes_before(const Model& a, const Model& b) {
  const auto key = [](const Model& m) {
    if (m.demand.work) return std::tuple(0, -static_cast<int>(m.demand.top), m.demanded_as);
    return std::tuple(m.expected ? 1 : 2, 0, static_cast<uint64_t>(m.place));
  };
  return key(a) < key(b);
}

std::optional<ModelId> BootOrder::next() {
  if (count(BootState::kPreparing) > 0) return std::nullopt;
  Model* best = nullptr;
  for (Model& model : models_) {
    if (model.state != BootState::kWaiting) continue;
    if (best == nullptr || comes_before(model, *best)) best = &model;
  }
  if (best == nullptr) return std::nullopt;
  best->state = BootState::kPreparing;
  return static_cast<ModelId>(best - models_.data());
}

int32_t BootOrder::count(BootState state) const {
  return static_cast<int32_t>(std::ranges::count(models_, state, &Model::state));
}

bool BootOrder::over() const {
  return count(BootState::kWaiting) == 0 && count(BootState::kPreparing) == 0;
}

std::string BootOrder::check_invariants() const {
  if (count(BootState::kPreparing) > 1) return "two models are prepared at one time";
  for (const Model& model : models_) {
    if (model.demand.work && model.demanded_as == 0) return "demand that nobody told of";
  }
  return "";
}

}  // namespace neuros::sched
