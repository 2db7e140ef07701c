#pragma once

/// What one rendering may use. A template comes with a model file, so it is as hostile as the file:
/// every limit ends in an error, never in an exhausted machine.

#include <cstdint>

namespace neuros::text::jinja {

struct Limits {
  /// Expressions and statements evaluated, elements visited, and bytes handled (kStepBytes to a
  /// step).
  int64_t steps_max = 20'000'000;
  /// Bytes of values alive at the same time, texts being captured included.
  int64_t memory_bytes_max = int64_t{256} << 20;
  int64_t output_bytes_max = int64_t{64} << 20;
  /// Expressions, statements and macro calls inside one another (stack depth).
  int depth_max = 800;
};

/// Bytes of text that count as one step when they are read or written.
inline constexpr int64_t kStepBytes = 32;

/// Limits of the parser: they bound the syntax tree and the stack it needs.
inline constexpr int kSourceBytesMax = 8 << 20;
inline constexpr int kNestingMax = 100;          ///< brackets or statements inside one another
inline constexpr int kExpressionDepthMax = 300;  ///< levels of one expression's tree

}  // namespace neuros::text::jinja
