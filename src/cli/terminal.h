#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace neuros::cli {

/// A progress bar on standard error, drawn only on a terminal and only once a second has passed.
class Progress {
 public:
  Progress();
  ~Progress();
  void update(const std::string& stage, double fraction);
  /// The same with bytes, and bytes per second since the stage began.
  void update_bytes(std::string_view stage, int64_t done, int64_t total);
  /// Wipes the bar.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool is_due(double fraction) const;
  void draw(const std::string& stage, double fraction, const std::string& note);

  bool enabled_;
  bool drawn_ = false;
  Clock::time_point started_;
  Clock::time_point last_;
  std::string stage_;  ///< whose bytes are counted
  Clock::time_point stage_started_;
};

/// Whether standard input and output are a person's terminal.
bool input_is_terminal();
bool output_is_terminal();

}  // namespace neuros::cli
