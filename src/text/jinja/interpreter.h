#pragma once

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/limits.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::text::jinja {

/// Renders a parsed template. `inputs` is an object whose members are the template's variables.
/// Errors name line and column, apart from those of raise_exception, which are its text alone.
base::Result<std::string> render(const Body& body, const nlohmann::ordered_json& inputs,
                                 int64_t now_unix_s, const Limits& limits = {});

}  // namespace neuros::text::jinja
