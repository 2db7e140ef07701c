#pragma once

#include <string>
#include <string_view>

namespace neuros::formats {

/// Text from a file made fit for one line of a terminal or an error: control characters become
/// \n, \t or \xNN, bytes that are not UTF-8 become \xNN, and more than `bytes_max` bytes are cut
/// (at a character) and marked with "...".
std::string printable(std::string_view text, size_t bytes_max = 120);

}  // namespace neuros::formats
