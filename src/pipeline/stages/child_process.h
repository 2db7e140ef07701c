#pragma once

#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

/// A program of the machine, run without a shell.
struct ChildProcess {
  std::vector<std::string> command{};  ///< program, found on PATH, and its arguments
  std::string folder{};                ///< it works in; "": ours
  std::chrono::microseconds timeout{std::chrono::seconds(60)};
  size_t output_bytes_max = size_t{16} << 20;
};

/// Feeds `input` to its standard input and returns its standard output when it has ended. Errors,
/// beginning with "exec PROGRAM: ": it cannot be started, its exit status is not 0 (with the end of
/// its standard error), it takes too long or writes too much, or `stop` was requested (kCancelled).
/// Whatever happens, neither it nor a process of its group is left, and no file descriptor. A
/// program that does not read all of its input is none of our business.
base::Result<std::string> run_child(const ChildProcess& process, std::string_view input,
                                    std::stop_token stop);

}  // namespace neuros::pipeline
