#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace neuros::text {

/// The bytes of a padded base64 text (RFC 4648, section 4); nullopt if it is not one.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace neuros::text
