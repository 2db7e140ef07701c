#include "cli/load_report.h"

#include "cli/terminal.h"
#include "device/read_rate.h"

#include <array>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using runtime::LoadReport;

/// In the order of LoadReport::From.
constexpr std::array kOrigins{"checkpoint", "cache", "artefact"};

const char* way_of(const LoadReport& report) {
  if (report.from == LoadReport::From::kCheckpoint) return "packed from";
  return report.direct ? "read past the page cache from" : "read from";
}

}  // namespace

std::string load_report(const LoadReport& report) {
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, " in %.2f s, %.2f GB/s", report.seconds,
                report.bytes_per_s() / 1e9);
  char bytes[32];
  std::snprintf(bytes, sizeof bytes, "%.2f GB ", static_cast<double>(report.bytes) / 1e9);
  return std::string("weights: ") + bytes + way_of(report) + " " + report.path + numbers;
}

std::string load_report_with_roof(const LoadReport& report) {
  const auto rate = device::measure_read_rate(report.path);
  if (!rate || *rate == 0.0) return load_report(report);  // a folder, or a small file
  char roof[64];
  std::snprintf(roof, sizeof roof, ", roof of its disk %.2f GB/s, %.0f %%", *rate / 1e9,
                100.0 * report.bytes_per_s() / *rate);
  return load_report(report) + roof;
}

nlohmann::ordered_json load_report_json(const LoadReport& report) {
  return {{"from", kOrigins[static_cast<size_t>(report.from)]},
          {"path", report.path},
          {"bytes", report.bytes},
          {"seconds", report.seconds},
          {"bytes_per_s", report.bytes_per_s()},
          {"direct", report.direct},
          {"kept_as", report.kept_as},
          {"keep_seconds", report.keep_seconds}};
}

runtime::OnLoadProgress show_load_progress() {
  auto progress = std::make_shared<Progress>();
  return [progress](const runtime::LoadProgress& load) {
    progress->update_bytes(load.stage, load.done_bytes, load.total_bytes);
    if (load.done_bytes >= load.total_bytes) progress->clear();
    return base::Result<>();
  };
}

void tell_of_cache(const LoadReport& report) {
  for (const std::string& warning : report.warnings) {
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  if (report.kept_as.empty()) return;
  std::fprintf(stderr, "packed weights kept as %s in %.1f s (--weight-cache off: not)\n",
               report.kept_as.c_str(), report.keep_seconds);
}

}  // namespace neuros::cli
