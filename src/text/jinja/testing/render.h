#pragma once

#include "text/jinja/limits.h"

#include <string>
#include <string_view>

namespace neuros::text::jinja::testing {

/// The rendering of a template, or "error: " and the message. `inputs` is JSON.
std::string render(std::string_view source, std::string_view inputs = "{}",
                   const Limits& limits = {});

/// The rendering of `{{ expression }}`.
std::string value_of(std::string_view expression, std::string_view inputs = "{}");

}  // namespace neuros::text::jinja::testing
