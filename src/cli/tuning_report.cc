#include "cli/tuning_report.h"

#include "cli/terminal.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using Json = nlohmann::ordered_json;
using pipeline::TunedLaunch;
using pipeline::Tuning;

Json to_json(const Tuning& tuning) {
  Json launches = Json::array();
  for (const TunedLaunch& launch : tuning.launches) {
    const kernels::ChoiceKey& key = launch.best.key;
    launches.push_back({{"op", std::string(kernels::name(key.op))},
                        {"dtype", std::string(base::name(key.dtype))},
                        {"rows", key.rows},
                        {"cols", key.cols},
                        {"tokens", key.tokens},
                        {"estimate", launch.estimate},
                        {"estimate_us", launch.estimate_us},
                        {"best", launch.best.value},
                        {"best_us", launch.best_us},
                        {"is_row", launch.holds}});
  }
  return {{"device", tuning.device},
          {"device_kind", tuning.device_kind},
          {"seconds", tuning.seconds},
          {"launches", launches}};
}

void print_row(const TunedLaunch& launch) {
  const kernels::ChoiceKey& key = launch.best.key;
  const std::string shape = std::to_string(key.rows) + "x" + std::to_string(key.cols);
  std::printf(
      "%-18s %-8s %14s %6lld %8d %8d %10.2f %10.2f %6.1f %%\n",
      std::string(kernels::name(key.op)).c_str(), std::string(base::name(key.dtype)).c_str(),
      shape.c_str(), static_cast<long long>(key.tokens), launch.estimate, launch.best.value,
      launch.estimate_us, launch.best_us, 100.0 * (1.0 - launch.best_us / launch.estimate_us));
}

void print(const Tuning& tuning) {
  std::printf("device    %s, of kind %s\n", tuning.device.c_str(), tuning.device_kind.c_str());
  std::printf("%-18s %-8s %14s %6s %8s %8s %10s %10s %8s\n", "op", "type", "shape", "tokens",
              "estimate", "choice", "us", "us", "gain");
  for (const TunedLaunch& launch : tuning.launches) {
    if (launch.holds) print_row(launch);
  }
  const auto rows = std::ranges::count(tuning.launches, true, &TunedLaunch::holds);
  std::printf("%lld of %zu launches are faster than the kernels estimate; measured in %.1f s\n",
              static_cast<long long>(rows), tuning.launches.size(), tuning.seconds);
}

}  // namespace

base::Result<> tune(pipeline::TuningOptions options, const std::string& output, bool json) {
  const auto progress = std::make_shared<Progress>();
  options.on_progress = [progress](const std::string& what, double fraction) {
    progress->update(what, fraction);
  };
  const Tuning tuning = TRY(pipeline::tune_kernels(options));
  progress->clear();
  if (!output.empty()) {
    std::ofstream file(output);
    file << kernels::format_choice_table(tuning.rows());
    if (!file.flush()) return base::fail(output + ": cannot write", base::ErrorKind::kIo);
  }
  if (json) {
    std::cout << to_json(tuning).dump(2) << "\n";
  } else {
    print(tuning);
  }
  return {};
}

}  // namespace neuros::cli
