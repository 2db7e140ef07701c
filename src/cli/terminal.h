#pragma once

#include <chrono>
#include <string>

namespace neuros::cli {

/// A progress bar on standard error, drawn only on a terminal and only once a second has passed.
class Progress {
 public:
  Progress();
  ~Progress();
  void update(const std::string& stage, double fraction);
  /// Wipes the bar.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool enabled_;
  bool drawn_ = false;
  Clock::time_point started_;
  Clock::time_point last_;
};

/// Whether standard input and output are a person's terminal.
bool input_is_terminal();
bool output_is_terminal();

}  // namespace neuros::cli
