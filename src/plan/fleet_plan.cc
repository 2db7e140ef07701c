#include "plan/fleet_plan.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace neuros::plan {
namespace {

std::string mib(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%10.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

int64_t FleetPlan::frames_of(const Plan& model) const {
  int64_t sum = 0;
  for (const SegmentPlacement& segment : model.segments) {
    sum += (segment.bytes + frame_bytes - 1) / frame_bytes;
  }
  return sum;
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
  for (const Plan& model : fleet.models) {
    text += "model       " + model.program.name + " (" + model.model_path + ")\n";
    text += "  weights  " + mib(model.memory.weights);
    if (fleet.pages()) {
      text += ", " + std::to_string(fleet.frames_of(model)) + " frames for " +
              std::to_string(model.segments.size()) + " segments";
    }
    text += "\n  kv       " + mib(model.memory.kv) + ", " + std::to_string(model.kv.pages) +
            " pages, context " + std::to_string(model.limits.context) + "\n";
    text += "  work     " + mib(model.memory.activations + model.memory.scratch) +
            ", activations and scratch\n";
  }
  for (const std::string& reason : fleet.reasons) text += "why         " + reason + "\n";
  for (const Plan& model : fleet.models) {
    for (const std::string& reason : model.reasons) {
      text += "why         " + model.program.name + ": " + reason + "\n";
    }
  }
  return text;
}

std::string describe_json(const FleetPlan& fleet) {
  nlohmann::ordered_json out = {
      {"budget_bytes", fleet.budget_bytes}, {"device_bytes", fleet.device_bytes()},
      {"frame_bytes", fleet.frame_bytes},   {"frames", fleet.frames},
      {"reasons", fleet.reasons},           {"models", nlohmann::ordered_json::array()}};
  for (const Plan& model : fleet.models) {
    out["models"].push_back(nlohmann::ordered_json::parse(describe_json(model)));
  }
  return out.dump(2) + "\n";
}

}  // namespace neuros::plan
