#include "text/byte_alphabet.h"

#include "text/unicode.h"

#include <array>

namespace neuros::text {
namespace {

constexpr char32_t kFirstShifted = 0x100;
constexpr size_t kShiftedCount = 68;

constexpr bool prints_as_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Tables {
  std::array<char32_t, 256> code_of_byte{};
  std::array<unsigned char, kShiftedCount> byte_of_shifted{};
};

constexpr Tables make_tables() {
  Tables tables;
  size_t shifted = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (prints_as_itself(byte)) {
      tables.code_of_byte[byte] = byte;
    } else {
      tables.code_of_byte[byte] = kFirstShifted + static_cast<char32_t>(shifted);
      tables.byte_of_shifted[shifted++] = static_cast<unsigned char>(byte);
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();
static_assert(kTables.code_of_byte[' '] == 0x120);

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes)
    append_utf8(kTables.code_of_byte[static_cast<unsigned char>(byte)], out);
  return out;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    const Utf8Char c = read_utf8(text, offset);
    offset += c.bytes;
    if (!c.valid) return std::nullopt;
    if (c.code < 0x100 && prints_as_itself(c.code)) {
      out.push_back(static_cast<char>(c.code));
    } else if (c.code >= kFirstShifted && c.code < kFirstShifted + kShiftedCount) {
      out.push_back(static_cast<char>(kTables.byte_of_shifted[c.code - kFirstShifted]));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace neuros::text
