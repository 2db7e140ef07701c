#pragma once

/// Python's str() and repr() of values.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <string>

namespace neuros::text::jinja {

/// str(value); a text is shared, not copied. Undefined is the empty text.
base::Result<Value> to_text(Runtime& runtime, const Value& value);

/// Appends str(value).
base::Result<> append_text(Runtime& runtime, TextBuilder& out, const Value& value);
/// Appends repr(value).
base::Result<> append_repr(Runtime& runtime, TextBuilder& out, const Value& value);

/// The shortest text that reads back as the number, as Python prints it: "1.0", "1e+16", "nan".
std::string float_text(double value);

}  // namespace neuros::text::jinja
