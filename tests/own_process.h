#pragma once

/// Work in a process of its own, whose memory is nobody else's.

#include "base/testing/sanitizers.h"

#include <cstdint>
#include <cstdio>
#include <functional>
#include <type_traits>

#include <sys/wait.h>
#include <unistd.h>

namespace neuros::testing {

using base::testing::kSanitized;

inline constexpr int64_t kMib = int64_t{1} << 20;

/// Runs `work` in a process of its own, whose peak is nobody else's, and returns what it returned;
/// the default value if that process failed.
template <typename T>
T in_own_process(const std::function<T()>& work) {
  static_assert(std::is_trivially_copyable_v<T>);
  T result{};
  int ends[2];
  if (::pipe(ends) != 0) return result;
  const pid_t child = ::fork();
  if (child == 0) {
    result = work();
    std::fflush(stdout);
    const bool told = ::write(ends[1], &result, sizeof result) == sizeof result;
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  if (::read(ends[0], &result, sizeof result) != sizeof result) result = {};
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return result;
}

}  // namespace neuros::testing
