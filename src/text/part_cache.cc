#include "text/part_cache.h"

#include <functional>

namespace neuros::text {
namespace {

constexpr size_t kEntries = 1 << 13;
constexpr size_t kArenaBytesMax = 4 << 20;

}  // namespace

std::optional<std::span<const TokenId>> PartCache::get(std::string_view part) {
  if (entries_.empty() || part.empty() || part.size() > kPartBytesMax) return std::nullopt;
  const uint64_t hash = std::hash<std::string_view>{}(part);
  const Entry& entry = entries_[hash % kEntries];
  if (entry.hash != hash || entry.bytes != part.size() ||
      part != std::string_view(bytes_).substr(entry.bytes_begin, entry.bytes))
    return std::nullopt;
  return std::span(ids_).subspan(entry.ids_begin, entry.ids);
}

void PartCache::put(std::string_view part, std::span<const TokenId> ids) {
  if (part.empty() || part.size() > kPartBytesMax || ids.size() > UINT16_MAX) return;
  if (bytes_.size() > kArenaBytesMax) entries_.clear();  // overwritten entries filled the arena
  if (entries_.empty()) {
    entries_.assign(kEntries, {});
    bytes_.clear();
    ids_.clear();
  }
  const uint64_t hash = std::hash<std::string_view>{}(part);
  entries_[hash % kEntries] = {
      hash, static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(ids_.size()),
      static_cast<uint16_t>(part.size()), static_cast<uint16_t>(ids.size())};
  bytes_.append(part);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

}  // namespace neuros::text
