#include "plan/fleet_plan.h"

#include "plan/map_hash.h"

#include <cstdio>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::plan {
namespace {

std::string mib(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%10.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::string duration(int64_t us) {
  char text[32];
  std::snprintf(text, sizeof(text), us < 10'000'000 ? "%.0f ms" : "%.1f s",
                static_cast<double>(us) / (us < 10'000'000 ? 1e3 : 1e6));
  return text;
}

/// "critical; waits in pinned memory, 291 ms from there, 7619 ms from disk"
std::string describe_residency(const Allocation& allocation) {
  std::string text = allocation.priority;
  if (allocation.stays) return text + "; never leaves the device";
  text += "; waits " + std::string(allocation.home == Home::kDisk ? "on " : "in ") +
          std::string(name(allocation.home)) + (allocation.home == Home::kDisk ? "" : " memory");
  for (size_t home = 0; home < kHomeNames.size(); ++home) {
    if (allocation.onload_us[home] == 0) continue;
    text += ", " + duration(allocation.onload_us[home]) + " from " + std::string(kHomeNames[home]);
  }
  return text;
}

std::string describe_model(const FleetPlan& fleet, size_t index) {
  const Plan& model = fleet.models[index];
  const Allocation& allocation = fleet.allocations[index];
  std::string text = "model       " + allocation.id + " (" + model.model_path + ")\n";
  text += "  weights  " + mib(model.memory.weights);
  if (fleet.pages()) {
    text += ", " + std::to_string(fleet.frames_of(model)) + " frames for " +
            std::to_string(model.segments.size()) + " segments";
  }
  text += "\n  kv       " + mib(model.memory.kv) + ", " + std::to_string(model.kv.pages) +
          " pages, context " + std::to_string(model.limits.context) + "\n";
  if (model.kv.host_pages > 0) {
    text += "  kv host  " + mib(model.memory.kv_host) + ", " + std::to_string(model.kv.host_pages) +
            " pages that may leave the device\n";
  }
  text += "  work     " + mib(model.memory.activations + model.memory.scratch) +
          ", activations and scratch of its own\n";
  if (model.memory.shared > 0) {
    text += "  in turn  " + mib(model.memory.shared) + ", of what models share\n";
  }
  text += "  priority  " + describe_residency(allocation) + "\n";
  for (const int32_t group : allocation.together) {
    text += "  together  with all of group " + std::to_string(group) + "\n";
  }
  return text;
}

nlohmann::ordered_json allocation_json(const Allocation& allocation) {
  nlohmann::ordered_json onload = nlohmann::ordered_json::object();
  for (size_t home = 0; home < kHomeNames.size(); ++home) {
    onload[std::string(kHomeNames[home])] = allocation.onload_us[home];
  }
  return {{"id", allocation.id},
          {"names", allocation.names},
          {"priority", allocation.priority},
          {"stays", allocation.stays},
          {"home", std::string(name(allocation.home))},
          {"together", allocation.together},
          {"onload_us", std::move(onload)}};
}

}  // namespace

int64_t FleetPlan::frames_of(const Plan& model) const {
  int64_t sum = 0;
  for (const SegmentPlacement& segment : model.segments) {
    sum += (segment.bytes + frame_bytes - 1) / frame_bytes;
  }
  return sum;
}

int64_t FleetPlan::home_bytes(Home home) const {
  if (!pages()) return 0;
  int64_t sum = 0;
  for (size_t i = 0; i < models.size(); ++i) {
    if (allocations[i].home != home) continue;
    for (const SegmentPlacement& segment : models[i].segments) sum += segment.bytes;
  }
  return sum;
}

FleetPlan fleet_of_one(Plan plan) {
  FleetPlan fleet{.budget_bytes = plan.memory.arena_bytes(), .memory = plan.memory};
  fleet.allocations.push_back({.id = plan.program.name, .priority = "medium"});
  fleet.models.push_back(std::move(plan));
  return fleet;
}

std::string describe(const FleetPlan& fleet) {
  std::string text = "fleet       " + std::to_string(fleet.models.size()) + " models, budget" +
                     mib(fleet.budget_bytes) + ", boot reserves" + mib(fleet.device_bytes()) + "\n";
  if (fleet.memory.driver > 0) {
    text += "driver     " + mib(fleet.memory.driver) + " there besides, of the GPU's driver\n";
  }
  if (fleet.pages()) {
    text += "weights    " + mib(fleet.frames * fleet.frame_bytes) + " in " +
            std::to_string(fleet.frames) + " frames of" + mib(fleet.frame_bytes) +
            ", which layers share\n";
  }
  if (const int64_t home = fleet.home_bytes(); home > 0) {
    text += "home       " + mib(home) + " of weights wait in the host's memory, of" +
            mib(fleet.peak_bytes()) + " that the process takes there at most\n";
  }
  if (fleet.memory.shared > 0) {
    text += "work       " + mib(fleet.memory.shared) +
            " for the activations and scratch of a step, which models take in turn\n";
  }
  text += "map         " + map_hash_text(map_hash(fleet)) + "\n";
  for (size_t i = 0; i < fleet.models.size(); ++i) text += describe_model(fleet, i);
  for (const std::string& reason : fleet.reasons) text += "why         " + reason + "\n";
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    for (const std::string& reason : fleet.models[i].reasons) {
      text += "why         " + fleet.allocations[i].id + ": " + reason + "\n";
    }
  }
  return text;
}

std::string describe_json(const FleetPlan& fleet) {
  nlohmann::ordered_json out = {
      {"budget_bytes", fleet.budget_bytes},
      {"device_bytes", fleet.device_bytes()},
      {"frame_bytes", fleet.frame_bytes},
      {"frames", fleet.frames},
      {"shared_bytes", fleet.memory.shared},
      {"home_bytes", fleet.home_bytes()},
      {"residency", std::string(kResidencyNames[static_cast<size_t>(fleet.residency)])},
      {"map_hash", map_hash_text(map_hash(fleet))},
      {"reasons", fleet.reasons},
      {"models", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    auto model = nlohmann::ordered_json::parse(describe_json(fleet.models[i]));
    model["allocation"] = allocation_json(fleet.allocations[i]);
    out["models"].push_back(std::move(model));
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace neuros::plan
