#include "sched/prefix_cache.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::sched {
namespace {

/// The finaliser of splitmix64 (https://prng.di.unimi.it/splitmix64.c).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t hash_page(uint64_t parent, std::span<const TokenId> tokens) {
  uint64_t hash = mix(parent + 0x9e3779b97f4a7c15U);
  for (const TokenId token : tokens) {
    hash = mix(hash + 0x9e3779b97f4a7c15U + static_cast<uint32_t>(token));
  }
  return hash;
}

PrefixCache::PrefixCache(KvPages& pages, int32_t page_tokens, Hash hash)
    : pages_(pages),
      page_tokens_(static_cast<size_t>(page_tokens)),
      hash_(hash),
      entries_(static_cast<size_t>(pages.total())) {}

uint64_t PrefixCache::hash_of(PageId parent, std::span<const TokenId> tokens) const {
  return hash_(parent == kNoPage ? 0 : at(parent).hash, tokens);
}

PageId PrefixCache::find(PageId parent, std::span<const TokenId> tokens) const {
  CHECK(tokens.size() == page_tokens_);
  const auto [first, last] = by_hash_.equal_range(hash_of(parent, tokens));
  for (auto it = first; it != last; ++it) {
    const Entry& entry = at(it->second);
    if (entry.parent == parent && std::ranges::equal(entry.tokens, tokens)) return it->second;
  }
  return kNoPage;
}

std::vector<PageId> PrefixCache::match(std::span<const TokenId> tokens) const {
  std::vector<PageId> found;
  PageId parent = kNoPage;
  for (size_t at = 0; at + page_tokens_ <= tokens.size(); at += page_tokens_) {
    parent = find(parent, tokens.subspan(at, page_tokens_));
    if (parent == kNoPage) break;
    found.push_back(parent);
  }
  return found;
}

PageId PrefixCache::insert(PageId parent, std::span<const TokenId> tokens, PageId page) {
  const PageId known = find(parent, tokens);
  if (known == page) return page;
  if (known != kNoPage) {
    hold(known);
    release(page);
    return known;
  }
  CHECK(parent == kNoPage || pages_.holders(parent) > 0, "a holder holds all parents");
  pages_.keep(page);
  Entry& entry = at(page);
  entry.parent = parent;
  entry.hash = hash_of(parent, tokens);
  entry.tokens.assign(tokens.begin(), tokens.end());
  by_hash_.emplace(entry.hash, page);
  if (parent != kNoPage) ++at(parent).children;
  return page;
}

void PrefixCache::hold(PageId page) {
  if (pages_.holders(page) == 0) released_.erase(at(page).released);
  pages_.hold(page);
}

void PrefixCache::release(PageId page) {
  pages_.release(page);
  if (!pages_.kept(page) || pages_.holders(page) > 0) return;
  at(page).released = next_release_++;
  released_.emplace(at(page).released, page);
}

bool PrefixCache::evict() {
  if (released_.empty()) return false;
  const PageId page = released_.begin()->second;
  released_.erase(released_.begin());
  forget(page);
  pages_.discard(page);
  return true;
}

void PrefixCache::forget(PageId page) {
  Entry& entry = at(page);
  CHECK(entry.children == 0, "children are released before their parents");
  const auto [first, last] = by_hash_.equal_range(entry.hash);
  const auto it =
      std::find_if(first, last, [&](const auto& known) { return known.second == page; });
  CHECK(it != last);
  by_hash_.erase(it);
  if (entry.parent != kNoPage) --at(entry.parent).children;
  entry = Entry{};
}

std::string PrefixCache::check_invariants() const {
  size_t known = 0;
  std::vector<int32_t> children(entries_.size());
  for (PageId page = 0; page < pages_.total(); ++page) {
    const Entry& entry = at(page);
    if (entry.tokens.empty() == pages_.kept(page)) return "kept pages and known pages differ";
    if (entry.tokens.empty()) continue;
    ++known;
    if (find(entry.parent, entry.tokens) != page) return "known page is not found";
    const bool cached = pages_.holders(page) == 0;
    if (cached != (released_.contains(entry.released) && released_.at(entry.released) == page)) {
      return "released pages and cached pages differ";
    }
    if (entry.parent == kNoPage) continue;
    ++children[static_cast<size_t>(entry.parent)];
    if (!pages_.kept(entry.parent)) return "parent page is unknown";
    if (!cached && pages_.holders(entry.parent) == 0) return "page held without its parent";
  }
  for (PageId page = 0; page < pages_.total(); ++page) {
    if (children[static_cast<size_t>(page)] != at(page).children) return "child count is wrong";
  }
  if (known != by_hash_.size()) return "hash index has pages that are unknown";
  if (released_.size() != static_cast<size_t>(pages_.cached_count())) return "eviction list is off";
  return "";
}

}  // namespace neuros::sched
