#pragma once

/// Typed access to the fields of a JSON object. For sources only, like json_text.h.

#include "formats/json_text.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace neuros::formats {

/// Reads fields of `object`, which must outlive it; absent and null are the same. Errors begin
/// with the field's name.
class JsonFields {
 public:
  explicit JsonFields(const nlohmann::json& object) : object_(object) {}

  const nlohmann::json* find(std::string_view name) const;  ///< nullptr if absent or null
  bool has_key(std::string_view name) const;                ///< true for null too

  base::Result<std::optional<int64_t>> integer(std::string_view name) const;
  base::Result<std::optional<double>> number(std::string_view name) const;
  base::Result<std::optional<bool>> boolean(std::string_view name) const;
  base::Result<std::optional<std::string>> text(std::string_view name) const;
  base::Result<std::optional<JsonFields>> object(std::string_view name) const;

  /// A count, length or size: 1 to 2^31-1.
  base::Result<std::optional<int64_t>> count(std::string_view name) const;
  /// The same, and it must be there.
  base::Result<int64_t> required_count(std::string_view name) const;
  /// A finite number above 0.
  base::Result<std::optional<double>> positive(std::string_view name) const;

 private:
  const nlohmann::json& object_;
};

}  // namespace neuros::formats
