#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

/// The known name that a mistyped one was likely meant to be; empty if none is near.
std::string nearest_name(std::string_view wrong, std::span<const std::string_view> known);
/// ", did you mean context?" or nothing.
std::string suggestion(std::string_view wrong, std::span<const std::string_view> known);
std::string suggestion(std::string_view wrong, const std::vector<std::string>& known);

/// "a, b or c".
std::string one_of(std::span<const std::string_view> names);

}  // namespace neuros::builder
