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

bool Progress::is_due(double fraction) const {
  const auto now = Clock::now();
  const bool early = now - started_ < std::chrono::seconds(1);
  const bool recent = drawn_ && now - last_ < std::chrono::milliseconds(100) && fraction < 1.0;
  return enabled_ && !early && !recent;
}

void Progress::draw(const std::string& stage, double fraction, const std::string& note) {
  constexpr int kWidth = 40;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(kWidth, '.');
  std::fprintf(stderr, "\r%-10s [%s] %3d %%%s", stage.c_str(), bar.c_str(),
               static_cast<int>(fraction * 100), note.c_str());
  std::fflush(stderr);
  drawn_ = true;
  last_ = Clock::now();
}

void Progress::update(const std::string& stage, double fraction) {
  if (is_due(fraction)) draw(stage, fraction, "");
}

void Progress::update_bytes(std::string_view stage, int64_t done, int64_t total) {
  if (stage != stage_) {
    stage_ = stage;
    stage_started_ = Clock::now();
  }
  const double fraction = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
  if (!is_due(fraction)) return;
  const std::chrono::duration<double> seconds = Clock::now() - stage_started_;
  const double gigabytes = static_cast<double>(done) / 1e9;
  char note[48];
  std::snprintf(note, sizeof note, "  %.2f GB  %.2f GB/s ", gigabytes, gigabytes / seconds.count());
  draw(stage_, fraction, note);
}

void Progress::clear() {
  if (drawn_) std::fprintf(stderr, "\r%88s\r", "");
  drawn_ = false;
}

bool input_is_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}
bool output_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace neuros::cli
