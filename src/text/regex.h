#pragma once

#include "base/result.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace neuros::text {

/// Buffers of one thread's matching; cheap to keep, not to be shared between threads.
class RegexScratch {
 public:
  RegexScratch();
  RegexScratch(RegexScratch&&) noexcept;
  RegexScratch& operator=(RegexScratch&&) noexcept;
  ~RegexScratch();

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A compiled PCRE2 pattern (UTF, UCP, JIT where the machine has it). Immutable, for any thread.
class Regex {
 public:
  struct Match {
    size_t begin = 0, end = 0;  ///< bytes; begin < end
  };

  static base::Result<Regex> compile(std::string_view pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// The first non-empty match at or after `from`. `subject` must be valid UTF-8 and `from` the
  /// start of a character. A match that exceeds the engine's step or memory limit counts as none.
  std::optional<Match> find(std::string_view subject, size_t from, RegexScratch& scratch) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace neuros::text
