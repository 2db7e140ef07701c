#include "cli/load_report.h"

#include "device/read_rate.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using runtime::LoadReport;

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
  return {{"from", report.from == LoadReport::From::kCache ? "cache" : "checkpoint"},
          {"path", report.path},
          {"bytes", report.bytes},
          {"seconds", report.seconds},
          {"bytes_per_s", report.bytes_per_s()},
          {"direct", report.direct},
          {"kept_as", report.kept_as},
          {"keep_seconds", report.keep_seconds}};
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
