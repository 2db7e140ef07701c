#include "cli/command.h"
#include "cli/profile_report.h"
#include "cli/terminal.h"
#include "cli/tuning_report.h"
#include "device/hardware_profile_yaml.h"
#include "device/measure_profile.h"
#include "device/profile_match.h"
#include "device/shipped_profiles.h"

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace neuros::cli {
namespace {

struct ProfileFlags {
  int32_t threads = 0;
  std::string output, check;
  std::string disk = ".";
  bool no_disk = false, quick = false, json = false;
  bool tune = false;
  pipeline::TuningOptions tuning;
};

device::MeasureOptions measure_options(const ProfileFlags& flags) {
  device::MeasureOptions options;
  options.threads = flags.threads;
  if (!flags.no_disk) options.disk_folder = flags.disk;
  if (flags.quick) {
    options.memory_bytes /= 4;
    options.disk_bytes /= 4;
  }
  return options;
}

base::Result<device::HardwareProfile> measure(const ProfileFlags& flags) {
  Progress progress;
  return device::measure_profile(measure_options(flags), [&](std::string_view part, double done) {
    progress.update(std::string(part), done);
  });
}

/// The profile was planned for; warnings go to standard error.
base::Result<> check(const std::string& name, const device::HardwareProfile& here) {
  const device::HardwareProfile planned_for = TRY(device::open_profile(name));
  for (const std::string& warning : device::match_profiles(planned_for, here).warnings) {
    std::cerr << "warning: " << name << ": " << warning << "\n";
  }
  return device::check_match(planned_for, here);
}

base::Result<> run_profile(const ProfileFlags& flags) {
  if (flags.tune) return tune(flags.tuning, flags.output, flags.json);
  const device::HardwareProfile profile = TRY(measure(flags));
  if (!flags.output.empty()) TRY(device::write_profile_file(profile, flags.output));
  std::cout << (flags.json ? profile_report_json(profile) : profile_report(profile));
  if (!flags.check.empty()) TRY(check(flags.check, profile));
  return {};
}

}  // namespace

void add_profile(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ProfileFlags>();
  CLI::App* command = app.add_subcommand("profile", "measure this machine");
  command->add_option("-t,--threads", flags->threads, "workers; 0: one per core")
      ->check(CLI::Range(0, 1024));
  command->add_option("-o,--output", flags->output,
                      "write the hardware profile, as YAML, or the table of --tune");
  command->add_option("--disk", flags->disk, "folder whose disk is measured, with a file of 1 GiB")
      ->capture_default_str();
  command->add_flag("--no-disk", flags->no_disk, "measure no disk");
  command->add_flag("--quick", flags->quick, "a quarter of the work; rates are less certain");
  command->add_option("--check", flags->check,
                      "fail where this machine lacks what a profile (file or name) has");
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
