#include "cli/memory_report.h"

#include "plan/map_hash.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

double mib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

std::string memory_report(const plan::FleetPlan& fleet, const base::ProcessMemory& measured) {
  char line[200];
  std::snprintf(
      line, sizeof line,
      "memory: predicted %.1f MiB, resident %.1f MiB; predicted peak %.1f MiB, peak %.1f MiB",
      mib(fleet.steady_bytes()), mib(measured.resident), mib(fleet.peak_bytes()),
      mib(measured.peak));
  return line;
}

std::string map_report(const plan::FleetPlan& fleet) {
  return "map " + plan::map_hash_text(plan::map_hash(fleet));
}

nlohmann::ordered_json memory_report_json(const plan::FleetPlan& fleet,
                                          const base::ProcessMemory& measured) {
  return {{"predicted", fleet.steady_bytes()},
          {"resident", measured.resident},
          {"predicted_peak", fleet.peak_bytes()},
          {"peak", measured.peak}};
}

}  // namespace neuros::cli
