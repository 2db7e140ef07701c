#pragma once

#include "base/result.h"
#include "text/jinja/ast.h"

#include <string_view>

namespace neuros::text::jinja {

/// Template text to a syntax tree. Errors name line and column. Statements: for, if, set, with,
/// macro, call, filter, generation, break, continue, raw; not import, include, extends,
/// block, autoescape, recursive loops.
base::Result<Body> parse(std::string_view source);

}  // namespace neuros::text::jinja
