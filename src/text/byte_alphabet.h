#pragma once

/// GPT-2's printable spelling of bytes: each of the 256 bytes is written as one character, those
/// that print in Latin-1 as themselves, the other 68 as U+0100 and up in order (so a space is
/// U+0120).

#include <optional>
#include <string>
#include <string_view>

namespace neuros::text {

std::string to_byte_alphabet(std::string_view bytes);

/// nullopt if some character is not of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace neuros::text
