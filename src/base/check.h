#pragma once

/// CHECK(condition): an invariant of this program. Prints where and aborts; never compiled out.
/// CHECK(condition, "text"): the same with a text.

namespace neuros::base::internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const char* text = "");
}  // namespace neuros::base::internal

#define CHECK(condition, ...)                                                             \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::neuros::base::internal::check_failed(#condition, __FILE__, __LINE__ __VA_OPT__(, ) \
                                                 __VA_ARGS__);                            \
  } while (false)
