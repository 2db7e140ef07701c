#pragma once

/// Python's two ways of formatting: `"%s" % value` and `"{}".format(value)`.
/// https://docs.python.org/3/library/string.html#format-specification-mini-language

#include "base/result.h"
#include "text/jinja/builtin.h"
#include "text/jinja/runtime.h"

#include <string_view>

namespace neuros::text::jinja {

/// `format % arguments`: a tuple gives one value per directive, a dict the named ones.
base::Result<Value> percent_format(Runtime& runtime, const Value& format, const Value& arguments);

/// `format.format(...)`. Replacement fields inside a format specification are not supported.
base::Result<Value> brace_format(Runtime& runtime, std::string_view format,
                                 const CallArguments& arguments);

}  // namespace neuros::text::jinja
