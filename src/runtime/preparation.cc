#include "runtime/preparation.h"

#include "base/check.h"

#include <utility>

#include <sys/resource.h>

namespace neuros::runtime {
namespace {

/// Of the calling thread, and of those that it starts: processors go to who computes first. A hint:
/// where it is refused, threads share.
void lower_priority() {
  constexpr int kNice = 10;
  ::setpriority(PRIO_PROCESS, 0, kNice);  // Linux: 0 is this thread
}

}  // namespace

Preparation::Preparation(const std::vector<sched::ModelId>& order, Hooks hooks)
    : hooks_(std::move(hooks)), order_(order) {}

bool Preparation::prepare_next() {
  std::optional<sched::ModelId> model;
  {
    const std::lock_guard lock(mutex_);
    if (!stops_) model = order_.next();
  }
  if (!model) return false;
  const base::Result<> result = hooks_.prepare(*model);
  {
    const std::lock_guard lock(mutex_);
    order_.finished(*model, result.has_value());
  }
  const bool broken_off = !result && stops_;
  if (!broken_off) hooks_.on_done(*model, result);
  return true;
}

void Preparation::start() {
  CHECK(!thread_.joinable());
  if (count(sched::BootState::kWaiting) == 0) return;
  thread_ = std::thread([this] {
    lower_priority();
    while (prepare_next()) {
    }
  });
}

void Preparation::stop() {
  stops_ = true;
  if (thread_.joinable()) thread_.join();
}

void Preparation::set_demand(sched::ModelId model, const sched::Demand& demand) {
  const std::lock_guard lock(mutex_);
  order_.set_demand(model, demand);
}

void Preparation::expect(sched::ModelId model, bool expected) {
  const std::lock_guard lock(mutex_);
  order_.expect(model, expected);
}

int32_t Preparation::count(sched::BootState state) const {
  const std::lock_guard lock(mutex_);
  return order_.count(state);
}

}  // namespace neuros::runtime
