#include "builder/conflict.h"

#include "base/byte_size.h"
#include "builder/builder.h"
#include "builder/footprint.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace neuros::builder {
namespace {

std::vector<ModelGrant> floors_of(const FleetDemand& fleet) {
  std::vector<ModelGrant> floors;
  for (const ModelDemand& model : fleet.models) floors.push_back(floor_of(model));
  return floors;
}

int64_t least_bytes(const FleetDemand& fleet) {
  return footprint(fleet, floors_of(fleet), plan::Residency::kStreams);
}

int64_t weight_bytes(const ModelDemand& model) {
  int64_t sum = 0;
  for (const int64_t segment : segment_bytes(model, floor_of(model))) sum += segment;
  return sum;
}

/// Leaves demands out, one after the other, as long as those that remain still conflict.
class Conflict {
 public:
  explicit Conflict(const FleetDemand& fleet) : fleet_(fleet) {
    for (size_t i = fleet_.models.size(); i-- > 0;) leave_out_model(i);
    for (ModelDemand& model : fleet_.models) {
      leave_out([&] { model.scratch_bytes = 0; });
      leave_out([&] { model.pin = false; });
      const int32_t least = std::min(model.context_least, kContextLeast);
      asks_context_.push_back(!leave_out([&] { model.context_least = least; }));
    }
  }

  std::string text() const {
    std::string text =
        "plan: " + base::mebibytes(fleet_.memory_bytes) + " of device memory cannot hold ";
    for (size_t i = 0; i < fleet_.models.size(); ++i) {
      text += (i == 0 ? "" : " together with ") + describe(fleet_.models[i], asks_context_[i]);
    }
    return text + ": " + base::mebibytes(least_bytes(fleet_)) + " are needed, " +
           base::mebibytes(least_bytes(fleet_) - fleet_.memory_bytes) + " more";
  }

 private:
  void leave_out_model(size_t index) {
    FleetDemand fewer = fleet_;
    fewer.models.erase(fewer.models.begin() + static_cast<std::ptrdiff_t>(index));
    fewer.together.clear();  // nothing has to be together where the least is asked for
    if (!fewer.models.empty() && !is_feasible(fewer)) fleet_ = std::move(fewer);
  }

  /// Whether the rest still conflicts; if not, nothing has changed.
  template <typename Relax>
  bool leave_out(Relax relax) {
    const std::vector<ModelDemand> before = fleet_.models;
    relax();
    if (!is_feasible(fleet_)) return true;
    std::ranges::copy(before, fleet_.models.begin());  // in place: `relax` refers to them
    return false;
  }

  static std::string describe(const ModelDemand& model, bool asks_context) {
    const int64_t weights = weight_bytes(model);
    std::string text = model.id + " (";
    text += model.pin ? "pinned weights of " + base::mebibytes(weights)
                      : "a layer at a time of weights of " + base::mebibytes(weights);
    if (model.levels.size() > 1) text += " at the least precision, " + model.levels.back();
    const ModelGrant floor = floor_of(model);
    const WorkBytes work = work_bytes(model, floor);
    text += ", " + base::mebibytes(work.own + work.shared - model.scratch_bytes) + " to work";
    if (asks_context) text += " with a context of " + std::to_string(floor.context);
    if (model.scratch_bytes > 0) text += ", scratch of " + base::mebibytes(model.scratch_bytes);
    return text + ")";
  }

  FleetDemand fleet_;
  std::vector<bool> asks_context_;  ///< of each model: its context is part of the conflict
};

}  // namespace

bool is_feasible(const FleetDemand& fleet) {
  return least_bytes(fleet) <= fleet.memory_bytes;
}

std::string describe_conflict(const FleetDemand& fleet) {
  return Conflict(fleet).text();
}

}  // namespace neuros::builder
