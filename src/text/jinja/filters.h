#pragma once

/// The filters, `value | name(arguments)`, in three tables.
/// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters

#include "base/result.h"
#include "text/jinja/builtin.h"

#include <span>
#include <string_view>

namespace neuros::text::jinja {

base::Result<Value> apply_filter(Runtime& runtime, std::string_view name, const Value& input,
                                 CallArguments arguments);

std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> value_filters();

}  // namespace neuros::text::jinja
