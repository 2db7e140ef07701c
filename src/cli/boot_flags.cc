#include "cli/boot_flags.h"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace neuros::cli {

void BootFlags::declare(CLI::App& app) {
  const std::vector<std::string> names(sched::kBootModeNames.begin(), sched::kBootModeNames.end());
  app.add_option_function<std::string>(
         "--boot", [this](const std::string& text) { mode = sched::boot_mode_from_name(text); },
         "eager: all models before the first request; on-demand: the first one, the others behind "
         "it; default: as the pipeline says, else eager")
      ->check(CLI::IsMember(names));
}

}  // namespace neuros::cli
