#pragma once

#include "text/tokenizer.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::text {

/// Remembers the ids of short parts (words) within one text: words repeat. Direct-mapped, bounded.
class PartCache {
 public:
  static constexpr size_t kPartBytesMax = 48;

  /// nullopt on a miss; the span is good until the next put().
  std::optional<std::span<const TokenId>> get(std::string_view part);
  /// Call after a get() of the same part missed.
  void put(std::string_view part, std::span<const TokenId> ids);

 private:
  struct Entry {
    uint64_t hash = 0;
    uint32_t bytes_begin = 0, ids_begin = 0;
    uint16_t bytes = 0, ids = 0;  // bytes 0: empty
  };

  std::vector<Entry> entries_;
  std::string bytes_;
  std::vector<TokenId> ids_;
};

}  // namespace neuros::text
