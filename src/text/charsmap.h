#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::text {

/// SentencePiece's precompiled_charsmap: prefixes of a text and what replaces them. The bytes are a
/// little-endian u32 (size of the trie in bytes), a Darts double array that maps a prefix to an
/// offset, and the replacements, each ended by a zero byte.
class Charsmap {
 public:
  Charsmap() = default;
  /// Fails where the sizes do not add up. Links that leave the array match nothing.
  static base::Result<Charsmap> create(std::string_view bytes);

  bool empty() const { return units_.empty(); }
  /// Replaces the longest known prefix at every position; invalid bytes become U+FFFD.
  void apply(std::string_view text, std::string& out) const;

 private:
  struct Match {
    size_t bytes = 0;
    uint32_t replacement = 0;  // offset into replacements_
  };
  Match longest(std::string_view text, size_t offset) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace neuros::text
