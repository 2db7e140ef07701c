#pragma once

/// One value in one format, shared by both ways of formatting.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <string>
#include <string_view>

namespace neuros::text::jinja {

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  ///< one of "<>^=", '\0': by type
  char sign = '-';    ///< one of "+- "
  bool alternate = false;
  char grouping = '\0';  ///< one of ",_"
  int64_t width = 0;
  int64_t precision = -1;  ///< -1: none
  char type = '\0';        ///< '\0': by type of value
};

/// "[[fill]align][sign][#][0][width][grouping][.precision][type]"
base::Result<FormatSpec> parse_format_spec(std::string_view text);

/// Digits at the start of a text, taken off it; -1 when there are none.
base::Result<int64_t> take_number(std::string_view& text);

base::Result<> append_formatted(Runtime& runtime, TextBuilder& out, const Value& value,
                                const FormatSpec& spec);

}  // namespace neuros::text::jinja
