#pragma once

/// The tests, `value is name(arguments)`.
/// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests

#include "base/result.h"
#include "text/jinja/builtin.h"

#include <string_view>

namespace neuros::text::jinja {

base::Result<bool> apply_test(Runtime& runtime, std::string_view name, const Value& input,
                              CallArguments arguments);

}  // namespace neuros::text::jinja
