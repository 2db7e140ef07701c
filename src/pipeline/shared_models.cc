#include "pipeline/shared_models.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace neuros::pipeline {
namespace {

/// The one place a path leads to; itself where there is none.
std::string place_of(const std::string& path) {
  std::error_code error;
  const std::filesystem::path place = std::filesystem::weakly_canonical(path, error);
  return error ? path : place.string();
}

bool can_share(const FleetModelOptions& a, const FleetModelOptions& b) {
  return place_of(a.path) == place_of(b.path) && a.kv_dtype == b.kv_dtype &&
         a.terms.precision == b.terms.precision;
}

/// The least context that will do; 0: any.
int32_t least_context(const FleetModelOptions& model) {
  return model.terms.context_min > 0 ? model.terms.context_min : model.context;
}

/// 0, nothing in particular, gives way to what was asked for.
void add(const FleetModelOptions& other, FleetModelOptions& model) {
  const int32_t least = std::max(least_context(model), least_context(other));
  model.context = std::max(model.context, other.context);
  model.terms.context_min = least < model.context ? least : 0;
  model.parallel += other.parallel;
  model.scratch_bytes += other.scratch_bytes;
  model.terms.priority = std::max(model.terms.priority, other.terms.priority);
  model.terms.pin = model.terms.pin || other.terms.pin;
  if (!model.home) model.home = other.home;
  if (model.calibration.empty()) model.calibration = other.calibration;
}

}  // namespace

SharedModels share_models(const std::vector<FleetModelOptions>& models) {
  SharedModels shared;
  for (const FleetModelOptions& model : models) {
    const auto same = std::ranges::find_if(
        shared.models, [&](const FleetModelOptions& other) { return can_share(other, model); });
    shared.of_name.push_back(static_cast<size_t>(same - shared.models.begin()));
    if (same == shared.models.end()) {
      shared.models.push_back(model);
    } else {
      add(model, *same);
    }
  }
  return shared;
}

FleetWishes share_models(FleetWishes wishes, const SharedModels& shared) {
  std::vector<std::vector<int32_t>> groups;
  for (const std::vector<int32_t>& group : wishes.together) {
    std::set<int32_t> members;
    for (const int32_t model : group) {
      members.insert(static_cast<int32_t>(shared.of_name[static_cast<size_t>(model)]));
    }
    if (members.size() > 1) groups.emplace_back(members.begin(), members.end());
  }
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  wishes.together = std::move(groups);
  return wishes;
}

}  // namespace neuros::pipeline
