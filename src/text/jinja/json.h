#pragma once

/// JSON at both ends of a rendering: inputs to values, and the tojson filter, which writes what
/// Python's json.dumps(value, ensure_ascii=False) writes.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::text::jinja {

/// Integers over 2^63 - 1 become floats.
base::Result<Value> from_json(Runtime& runtime, const nlohmann::ordered_json& json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  /// What one level is indented by; without it everything is on one line.
  std::optional<std::string> indent = std::nullopt;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

base::Result<Value> to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace neuros::text::jinja
