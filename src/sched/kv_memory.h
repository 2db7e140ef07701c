#pragma once

#include "sched/kv_pages.h"
#include "sched/prefix_cache.h"
#include "sched/process.h"

#include <cstdint>
#include <string>

namespace neuros::sched {

/// Gives pages to processes and takes them back: free pages first, then cached ones, those released
/// longest ago first. Whose pages to take when there are none is not decided here.
class KvMemory {
 public:
  KvMemory(int32_t pages, int32_t page_tokens, PrefixCache::Hash hash = hash_page);
  KvMemory(const KvMemory&) = delete;  // cache_ refers to pages_
  KvMemory& operator=(const KvMemory&) = delete;

  const KvPages& pages() const { return pages_; }
  int32_t pages_for(int64_t tokens) const {
    return static_cast<int32_t>((tokens + page_tokens_ - 1) / page_tokens_);
  }
  /// Pages that could be granted now.
  int32_t available() const { return pages_.free_count() + pages_.cached_count(); }
  /// Pages that admitting this waiting process for all its tokens takes out of available().
  int32_t demand(const Process& process) const;

  /// Skips tokens whose full pages are known, up to the first position whose logits are owed.
  /// Returns how many.
  int32_t reuse(Process& process);
  /// Grants pages so that the first `tokens` tokens have a place. False if there were not enough;
  /// the process keeps what it got.
  bool grow(Process& process, int32_t tokens);
  /// Tokens up to `computed` are in their pages now; the full ones become known for reuse.
  void computed(Process& process, int32_t computed);
  /// Takes all pages back; nothing of the process is computed any more.
  void release(Process& process);

  /// Of the ledger, the cache and one process's pages.
  std::string check_invariants() const;
  std::string check_invariants(const Process& process) const;

 private:
  KvPages pages_;
  int32_t page_tokens_;
  PrefixCache cache_;
};

}  // namespace neuros::sched
