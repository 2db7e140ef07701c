#pragma once

/// As much of JSON Schema (draft 2020-12) as docs/formats/pipeline.schema.json uses.

#include <string>

#include <nlohmann/json.hpp>

namespace neuros::builder::testing {

/// Where and why a value does not fit; empty: it does. A keyword that is not known here is one too.
std::string schema_error(const nlohmann::json& schema, const nlohmann::json& value);

}  // namespace neuros::builder::testing
