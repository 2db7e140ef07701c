#include "cli/terminal.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

namespace neuros::cli {

Progress::Progress()
    : enabled_(::isatty(STDERR_FILENO) == 1), started_(Clock::now()), last_(started_) {}

Progress::~Progress() {
  clear();
}

void Progress::update(const std::string& stage, double fraction) {
  const auto now = Clock::now();
  const bool early = now - started_ < std::chrono::seconds(1);
  const bool recent = drawn_ && now - last_ < std::chrono::milliseconds(100) && fraction < 1.0;
  if (!enabled_ || early || recent) return;
  constexpr int kWidth = 40;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(kWidth, '.');
  std::fprintf(stderr, "\r%-10s [%s] %3d %%", stage.c_str(), bar.c_str(),
               static_cast<int>(fraction * 100));
  std::fflush(stderr);
  drawn_ = true;
  last_ = now;
}

void Progress::clear() {
  if (drawn_) std::fprintf(stderr, "\r%64s\r", "");
  drawn_ = false;
}

bool input_is_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}
bool output_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace neuros::cli
