#pragma once

#include "sched/ids.h"
#include "sched/kv_pages.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace neuros::sched {

/// Hash of a page: of its tokens and, through `parent`, of everything before them.
uint64_t hash_page(uint64_t parent, std::span<const TokenId> tokens);

/// Finds full pages by what they hold. A page's keys and values depend on all tokens before it, so
/// the cached pages form a forest: a page is known by its parent page and its own tokens. Hashes
/// only speed the search up; parent and tokens are compared, so that a collision cannot give a
/// wrong page. Who holds a page holds all its parents too.
class PrefixCache {
 public:
  using Hash = uint64_t (*)(uint64_t parent, std::span<const TokenId> tokens);

  /// `pages` outlives the cache; all changes of holders go through hold() and release() here.
  PrefixCache(KvPages& pages, int32_t page_tokens, Hash hash = hash_page);

  /// The cached page that follows `parent` (kNoPage: begins a sequence) with these page_tokens
  /// tokens, or kNoPage.
  PageId find(PageId parent, std::span<const TokenId> tokens) const;
  /// The longest run of cached pages that `tokens` begins with.
  std::vector<PageId> match(std::span<const TokenId> tokens) const;

  /// Makes a held full page known. If another page is known for the same content, the holder
  /// changes over to that one and `page` loses it. Returns the page the holder has now.
  PageId insert(PageId parent, std::span<const TokenId> tokens, PageId page);

  void hold(PageId page);
  /// Release the deepest page of a sequence first; that is what is evicted first.
  void release(PageId page);
  /// Frees the cached page that was released longest ago; false if there is none.
  bool evict();

  std::string check_invariants() const;

 private:
  struct Entry {
    PageId parent = kNoPage;
    uint64_t hash = 0;
    std::vector<TokenId> tokens;  ///< [page_tokens]; empty: page unknown
    int32_t children = 0;
    uint64_t released = 0;  ///< key in released_ while the page is cached
  };
  uint64_t hash_of(PageId parent, std::span<const TokenId> tokens) const;
  void forget(PageId page);
  Entry& at(PageId page) { return entries_[static_cast<size_t>(page)]; }
  const Entry& at(PageId page) const { return entries_[static_cast<size_t>(page)]; }

  KvPages& pages_;
  size_t page_tokens_;
  Hash hash_;
  std::vector<Entry> entries_;  ///< by page
  std::unordered_multimap<uint64_t, PageId> by_hash_;
  std::map<uint64_t, PageId> released_;  ///< cached pages, longest released first
  uint64_t next_release_ = 1;
};

}  // namespace neuros::sched
