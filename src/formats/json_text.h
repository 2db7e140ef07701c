#pragma once

/// JSON text from files nobody vouches for. Included by sources only: nlohmann's header is heavy.

#include "base/result.h"

#include <string_view>

#include <nlohmann/json.hpp>

namespace neuros::formats {

/// Parses one JSON object (trailing white space allowed). Fails on malformed text, on a key that an
/// object has twice, on nesting deeper than `depth_max`, and if the text is not an object.
base::Result<nlohmann::json> parse_json_object(std::string_view text, int depth_max);

/// "a string", "null", ...: for errors.
std::string json_type(const nlohmann::json& value);

}  // namespace neuros::formats
