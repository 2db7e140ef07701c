#pragma once

/// Errors of the outside world: a `Result<T>` is a value or an `Error`, passed up by `TRY`.
/// A bug in this program is a `CHECK` (base/check.h) instead.

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace neuros::base {

/// What kind of failure it was; decides the exit code and the HTTP status, never the text.
enum class ErrorKind {
  kInvalid,       ///< bad input: a file, a flag, a request
  kNotFound,      ///< the named thing does not exist
  kUnsupported,   ///< valid, but not something this build or version does
  kOutOfMemory,   ///< a budget or an allocation did not suffice
  kIo,            ///< the operating system refused
  kUnavailable,   ///< full or stopping; trying again later may succeed
  kBroken,        ///< it failed before and stays so, whoever asks and however often
  kCancelled,     ///< the caller went away
};

struct Error {
  ErrorKind kind = ErrorKind::kInvalid;
  /// "gguf: tensor blk.3.ffn_up: 17 blocks, expected 16": what failed, the value, the limit, where.
  std::string message;
};

template <typename T = void>
using Result = tl::expected<T, Error>;

/// `return fail("gguf: bad magic");`
inline tl::unexpected<Error> fail(std::string message, ErrorKind kind = ErrorKind::kInvalid) {
  return tl::unexpected<Error>(Error{kind, std::move(message)});
}

/// Puts `context + ": "` in front of an error on its way up.
inline Error with_context(Error error, const std::string& context) {
  error.message = context + ": " + error.message;
  return error;
}

}  // namespace neuros::base

/// Evaluates to the value of a Result, or returns its error from the enclosing function.
#define TRY(...)                                                          \
  __extension__({                                                         \
    auto neuros_try_result = (__VA_ARGS__);                               \
    if (!neuros_try_result.has_value()) [[unlikely]]                      \
      return ::tl::unexpected(std::move(neuros_try_result).error());      \
    ::neuros::base::internal::take_value(std::move(neuros_try_result));   \
  })

namespace neuros::base::internal {
template <typename T>
T take_value(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace neuros::base::internal
