#include "text/charsmap.h"

#include "text/unicode.h"

#include <cstring>

namespace neuros::text {
namespace {

// One unit of the double array, as the darts-clone library packs it.
uint32_t label(uint32_t unit) {
  return unit & (0x80000000u | 0xFFu);
}
bool has_leaf(uint32_t unit) {
  return ((unit >> 8) & 1u) != 0;
}
uint32_t value(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
uint32_t link(uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

uint32_t read_u32(std::string_view bytes, size_t offset) {
  unsigned char raw[4];
  std::memcpy(raw, bytes.data() + offset, sizeof raw);
  return raw[0] | uint32_t{raw[1]} << 8 | uint32_t{raw[2]} << 16 | uint32_t{raw[3]} << 24;
}

}  // namespace

base::Result<Charsmap> Charsmap::create(std::string_view bytes) {
  Charsmap map;
  if (bytes.empty()) return map;
  const auto bad = [&bytes](const std::string& what) {
    return base::fail("precompiled charsmap of " + std::to_string(bytes.size()) +
                      " bytes: " + what);
  };
  if (bytes.size() < 4) return bad("too short for its header");
  const size_t trie_bytes = read_u32(bytes, 0);
  if (trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4)
    return bad("trie of " + std::to_string(trie_bytes) + " bytes");
  for (size_t offset = 4; offset < 4 + trie_bytes; offset += 4)
    map.units_.push_back(read_u32(bytes, offset));
  map.replacements_ = bytes.substr(4 + trie_bytes);
  return map;
}

Charsmap::Match Charsmap::longest(std::string_view text, size_t offset) const {
  Match best;
  if (units_.empty()) return best;
  uint32_t node = link(units_[0]);
  for (size_t i = offset; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label(units_[node]) != byte) break;
    const bool leaf = has_leaf(units_[node]);
    node ^= link(units_[node]);
    if (node >= units_.size()) break;
    if (leaf) best = {i + 1 - offset, value(units_[node])};
  }
  return best;
}

void Charsmap::apply(std::string_view text, std::string& out) const {
  for (size_t offset = 0; offset < text.size();) {
    const Match match = longest(text, offset);
    if (match.bytes > 0 && match.replacement < replacements_.size()) {
      out.append(replacements_.c_str() + match.replacement);
      offset += match.bytes;
      continue;
    }
    const Utf8Char c = read_utf8(text, offset);
    out.append(c.valid ? text.substr(offset, c.bytes) : kReplacementCharacter);
    offset += c.bytes;
  }
}

}  // namespace neuros::text
