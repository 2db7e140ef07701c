#pragma once

/// Algorithms on texts that methods, filters and operators share.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace neuros::text::jinja {

/// First byte of `needle` in `text` at or after `from`; npos when it is not there. Takes linear
/// time, whatever the texts.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
/// First byte of the last occurrence; npos when there is none.
size_t find_last_text(std::string_view text, std::string_view needle);

enum class Side { kLeft, kRight, kBoth };

/// Without white space, or without the code points in `characters`, at the ends.
std::string_view strip(std::string_view text, std::optional<std::string_view> characters,
                       Side side);

enum class LineEnds { kDrop, kKeep };

/// str.splitlines
std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends = LineEnds::kDrop);

/// The first `count` occurrences replaced, all when it is negative.
base::Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view old_part,
                                 std::string_view new_part, int64_t count);

/// The alignment of str.center, which rounds other than '^' does.
inline constexpr char kCenter = 'c';

/// `fill` around the text up to `width` code points; `align` is one of "<>^" or kCenter.
base::Result<Value> pad_text(Runtime& runtime, std::string_view text, int64_t width, char align,
                             std::string_view fill = " ");

}  // namespace neuros::text::jinja
