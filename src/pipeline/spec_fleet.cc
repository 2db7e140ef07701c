#include "pipeline/spec_fleet.h"

#include "builder/spec/boot_order.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

namespace neuros::pipeline {
namespace {

using builder::ModelSpec;
using builder::PipelineSpec;

int32_t index_of(const PipelineSpec& spec, const std::string& id) {
  const auto found = std::ranges::find(spec.models, id, &ModelSpec::id);
  return static_cast<int32_t>(found - spec.models.begin());
}

std::optional<plan::Home> home_of(const ModelSpec& model) {
  if (!model.residency) return std::nullopt;
  switch (*model.residency) {
    case builder::Tier::kPinned:
      return plan::Home::kPinned;
    case builder::Tier::kPageable:
      return plan::Home::kPageable;
    case builder::Tier::kDisk:
      return plan::Home::kDisk;
    default:
      return std::nullopt;  // on the device: they stay
  }
}

std::string path_from(const std::string& folder, const std::string& file) {
  if (file.empty()) return "";
  return (std::filesystem::path(folder) / file).lexically_normal().string();
}

/// A set of models that is not there yet.
void add_group(const PipelineSpec& spec, const std::set<std::string>& ids,
               std::vector<std::vector<int32_t>>& groups) {
  std::vector<int32_t> group;
  for (const std::string& id : ids) group.push_back(index_of(spec, id));
  std::ranges::sort(group);
  if (group.size() > 1 && std::ranges::count(groups, group) == 0) groups.push_back(group);
}

}  // namespace

base::Result<std::vector<FleetModelOptions>> fleet_models(const PipelineSpec& spec,
                                                          const std::string& folder) {
  std::vector<FleetModelOptions> models;
  for (const ModelSpec& model : spec.models) {
    if (model.model_class != builder::ModelClass::kLlm) {
      return base::fail("models." + model.id + ": class " + std::string(name(model.model_class)) +
                            ": this program runs models of class llm",
                        base::ErrorKind::kUnsupported);
    }
    const bool stays = model.pin || model.residency == builder::Tier::kDevice;
    models.push_back({.path = path_from(folder, model.file),
                      .name = model.id,
                      .context = model.context,
                      .parallel = model.parallel,
                      .kv_dtype = model.kv_dtype,
                      .scratch_bytes = model.scratch_bytes,
                      .terms = {.id = model.id,
                                .priority = model.priority,
                                .pin = stays,
                                .context_min = model.context_min,
                                .precision = model.precision},
                      .calibration = path_from(folder, model.calibration),
                      .home = home_of(model)});
  }
  return models;
}

FleetWishes fleet_wishes(const PipelineSpec& spec, const builder::StageGraph& graph) {
  FleetWishes wishes;
  for (const std::vector<int32_t>& level : builder::parallel_groups(graph)) {
    std::set<std::string> ids;
    for (const int32_t stage : level) {
      for (std::string& id : spec.models_of(spec.stages[static_cast<size_t>(stage)])) {
        ids.insert(std::move(id));
      }
    }
    add_group(spec, ids, wishes.together);
  }
  if (spec.slo.ttft_us_p99) wishes.onload_us_max = *spec.slo.ttft_us_p99;
  wishes.pinned_bytes = spec.memory.pinned.value_or(0);
  wishes.pageable_bytes = spec.memory.pageable.value_or(0);
  wishes.boot_order = builder::boot_order(spec, graph);
  return wishes;
}

ModelOptions fleet_options(const PipelineSpec& spec, ModelOptions options) {
  if (options.memory_bytes == 0 && spec.memory.device) {
    options.memory_bytes = static_cast<size_t>(*spec.memory.device);
  }
  if (!options.boot) options.boot = spec.memory.boot;
  if (!options.kv_swap_bytes) options.kv_swap_bytes = spec.memory.kv_swap;
  return options;
}

}  // namespace neuros::pipeline
