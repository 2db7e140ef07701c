#pragma once

/// The functions every template may call: range, dict, namespace, raise_exception, strftime_now.

#include "base/result.h"
#include "text/jinja/builtin.h"

#include <span>

namespace neuros::text::jinja {

std::span<const Builtin> global_functions();

}  // namespace neuros::text::jinja
