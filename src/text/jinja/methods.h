#pragma once

/// Methods of texts, lists, tuples, dicts and the loop variable, one table per type.

#include "base/result.h"
#include "text/jinja/builtin.h"

#include <span>

namespace neuros::text::jinja {

std::span<const Builtin> string_methods();
std::span<const Builtin> list_methods();
std::span<const Builtin> tuple_methods();
std::span<const Builtin> dict_methods();
std::span<const Builtin> loop_methods();

/// dict.update: at most one mapping, namespace or iterable of pairs, then named values.
base::Result<> update_dict(Runtime& runtime, Dict& dict, const CallArguments& arguments);

/// `macro.name`
base::Result<Value> callable_name(Runtime& runtime, const Callable& callable);

}  // namespace neuros::text::jinja
