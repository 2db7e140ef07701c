#pragma once

/// Request bodies: text from outside becomes a JSON value or a 400 that says where it is wrong.

#include "serve/api_error.h"

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace neuros::serve {

/// Keeps the order of keys, as chat templates print messages and tools.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t depth = 64;          ///< of nested arrays and objects
  size_t values = 4'000'000;  ///< commas and brackets: bounds the memory a body can ask for
};

/// A JSON object. Errors: malformed (with line and column), invalid UTF-8, too deep, too many
/// values, not an object.
tl::expected<Json, ApiError> parse_json_body(std::string_view body, JsonLimits limits = {});

/// Valid UTF-8 in any case: broken bytes become U+FFFD.
std::string dump(const Json& json);
Response json_response(const Json& json);

}  // namespace neuros::serve
