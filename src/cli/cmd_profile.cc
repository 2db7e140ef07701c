#include "base/cpu_features.h"
#include "cli/command.h"
#include "cli/tuning_report.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/cpu_rates.h"
#include "device/cpu/topology.h"
#include "kernels/op_table.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ProfileFlags {
  int32_t threads = 0;
  std::string output;
  bool json = false;
  bool tune = false;
  pipeline::TuningOptions tuning;
};

struct HardwareProfile {
  base::CpuFeatures detected, chosen;
  device::Topology topology;
  device::CpuRates rates;
  size_t threads = 0;
};

base::Result<HardwareProfile> measure(const ProfileFlags& flags) {
  HardwareProfile profile;
  profile.detected = base::detect_cpu();
  profile.chosen = TRY(base::chosen_cpu());
  profile.topology = device::read_topology();
  profile.threads =
      flags.threads > 0 ? static_cast<size_t>(flags.threads) : device::physical_cores().size();
  auto cpu = TRY(device::open_cpu_device({.threads = flags.threads, .memory_bytes = 0}));
  auto stream = TRY(cpu->create_stream());
  profile.rates = TRY(device::measure_cpu_rates(*cpu, *stream, profile.chosen));
  return profile;
}

Json level_list(const base::CpuFeatures& features) {
  Json levels = Json::array();
  for (base::CpuLevel level : features.levels()) levels.push_back(std::string(base::name(level)));
  return levels;
}

Json to_json(const HardwareProfile& profile) {
  Json caches = Json::array();
  for (const device::CacheLevel& cache : profile.topology.caches) {
    caches.push_back({{"level", cache.level}, {"bytes", cache.bytes}, {"count", cache.count}});
  }
  return {{"cpu",
           {{"brand", profile.detected.brand},
            {"packages", profile.topology.packages},
            {"numa_nodes", profile.topology.numa_nodes},
            {"cores", profile.topology.cores},
            {"threads", profile.topology.threads},
            {"memory_bytes", profile.topology.memory_bytes},
            {"caches", caches},
            {"levels", level_list(profile.detected)},
            {"avx512_bf16", profile.detected.avx512_bf16},
            {"chosen_level", std::string(base::name(profile.chosen.level))},
            {"kernels", kernels::cpu_ops(profile.chosen).name}}},
          {"measured",
           {{"threads", profile.threads},
            {"read_bytes_per_s", profile.rates.read_bytes_per_s},
            {"copy_bytes_per_s", profile.rates.copy_bytes_per_s},
            {"f32_flops_per_s", profile.rates.f32_flops_per_s},
            {"bf16_flops_per_s", profile.rates.bf16_flops_per_s},
            {"int8_ops_per_s", profile.rates.int8_ops_per_s}}}};
}

std::string describe_caches(const device::Topology& topology) {
  std::string text;
  for (const device::CacheLevel& cache : topology.caches) {
    text += (text.empty() ? "" : ", ") + std::string("L") + std::to_string(cache.level) + " " +
            std::to_string(cache.count) + " x " + std::to_string(cache.bytes >> 10) + " KiB";
  }
  return text;
}

void print(const HardwareProfile& profile) {
  const device::Topology& t = profile.topology;
  std::printf("processor   %s\n", profile.detected.brand.c_str());
  std::printf("topology    %d package(s), %d NUMA node(s), %d cores, %d threads, %lld MiB\n",
              t.packages, t.numa_nodes, t.cores, t.threads,
              static_cast<long long>(t.memory_bytes >> 20));
  std::printf("caches      %s\n", describe_caches(t).c_str());
  std::printf("levels     ");
  for (base::CpuLevel level : profile.detected.levels()) {
    std::printf(" %s", std::string(base::name(level)).c_str());
  }
  std::printf("%s  (NEUROS_CPU forces one; chosen: %s, kernels %s)\n",
              profile.detected.avx512_bf16 ? " +bf16" : "",
              std::string(base::name(profile.chosen.level)).c_str(),
              kernels::cpu_ops(profile.chosen).name.c_str());
  std::printf("measured    with %zu threads\n", profile.threads);
  std::printf("  read   %8.1f GB/s\n", profile.rates.read_bytes_per_s / 1e9);
  std::printf("  copy   %8.1f GB/s (read plus written)\n", profile.rates.copy_bytes_per_s / 1e9);
  std::printf("  f32    %8.1f GFLOP/s\n", profile.rates.f32_flops_per_s / 1e9);
  std::printf("  bf16   %8.1f GFLOP/s\n", profile.rates.bf16_flops_per_s / 1e9);
  std::printf("  int8   %8.1f GOP/s\n", profile.rates.int8_ops_per_s / 1e9);
}

base::Result<> run_profile(const ProfileFlags& flags) {
  if (flags.tune) return tune(flags.tuning, flags.output, flags.json);
  const HardwareProfile profile = TRY(measure(flags));
  if (!flags.output.empty()) {
    std::ofstream file(flags.output);
    file << to_json(profile).dump(2) << "\n";  // JSON is YAML
    if (!file.flush()) return base::fail(flags.output + ": cannot write", base::ErrorKind::kIo);
  }
  if (flags.json) {
    std::cout << to_json(profile).dump(2) << "\n";
  } else {
    print(profile);
  }
  return {};
}

}  // namespace

void add_profile(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ProfileFlags>();
  CLI::App* command = app.add_subcommand("profile", "measure this machine");
  command->add_option("-t,--threads", flags->threads, "workers; 0: one per core")
      ->check(CLI::Range(0, 1024));
  command->add_option("-o,--output", flags->output,
                      "write the hardware profile, or the table of --tune, to a file");
  command->add_flag("--json", flags->json, "for machines");
  CLI::Option* tune = command->add_flag(
      "--tune", flags->tune, "measure the kernels of a GPU instead: a table for --tuning");
  command->add_option("--device", flags->tuning.device, "of --tune: cuda or cuda:N")
      ->capture_default_str()
      ->needs(tune);
  command->add_option("--models", flags->tuning.models, "of --tune: whose products, as NAME:TYPE")
      ->delimiter(',')
      ->capture_default_str()
      ->needs(tune);
  command->footer(
      "Example: neuros profile -o machine.yaml\n"
      "         neuros profile --tune --device cuda:0 -o choices.txt");
  command->callback([flags, &action] { action = [flags] { return run_profile(*flags); }; });
}

}  // namespace neuros::cli
