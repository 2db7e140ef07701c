#pragma once

#include "sched/boot_mode.h"

#include <optional>

namespace CLI {
class App;
}

namespace neuros::cli {

/// How the models of a fleet come up; none: as its specification says, else eager.
struct BootFlags {
  std::optional<sched::BootMode> mode;

  void declare(CLI::App& app);
};

}  // namespace neuros::cli
