#pragma once

#include "sched/host_slots.h"
#include "sched/kv_pages.h"
#include "sched/prefix_cache.h"
#include "sched/process.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace neuros::sched {

struct KvLimits {
  int32_t pages = 0;       ///< on the device
  int32_t host_pages = 0;  ///< slots of the host tier
  int32_t page_tokens = 0;
};

/// Gives pages to processes and takes them back: free pages first, then cached ones, those released
/// longest ago first, whose content goes to the host tier. Whose pages to take when there are none
/// is not decided here.
class KvMemory {
 public:
  explicit KvMemory(const KvLimits& limits, ContentForest::Hash hash = hash_page);
  KvMemory(const KvMemory&) = delete;  // cache_ refers to pages_ and slots_
  KvMemory& operator=(const KvMemory&) = delete;

  const KvPages& pages() const { return pages_; }
  const HostSlots& slots() const { return slots_; }
  int32_t pages_for(int64_t tokens) const {
    return static_cast<int32_t>((tokens + page_tokens_ - 1) / page_tokens_);
  }
  /// Pages that could be granted now.
  int32_t available() const { return pages_.free_count() + pages_.cached_count(); }
  /// Pages that admitting this waiting process for all its tokens takes out of available().
  int32_t demand(const Process& process) const;

  /// What is known of the process's tokens behind those that are computed: a full page, up to the
  /// first position whose logits are owed; or the page that was not full when it was suspended.
  struct Known {
    int32_t end = 0;  ///< of its tokens; process.computed: nothing is known
    bool on_host = false;
  };
  Known next_known(const Process& process) const;
  /// Those tokens are computed now. Of the host tier: the process has a page for them.
  void take(Process& process, const Known& known);
  /// While it lives, what is known of the process's tokens stays in the host tier.
  PrefixCache::Pin pin(const Process& process);

  /// Grants pages so that the first `tokens` tokens have a place. False if there were not enough;
  /// the process keeps what it got.
  bool grow(Process& process, int32_t tokens);
  /// Tokens up to `computed` are in their pages now; the full ones become known for reuse.
  void computed(Process& process, int32_t computed);
  /// Takes all pages back; nothing of the process is computed any more.
  void release(Process& process);
  /// The same of a process that will go on: its last page is known too, though it is not full.
  void park(Process& process);
  /// A parked process does not go on.
  void forget_parked(const Process& process);

  /// What went to the host tier and came back since the last call, in order.
  std::vector<PageMove> take_moves() { return cache_.take_moves(); }
  /// The moves failed: nothing is where they should have brought it, and nobody holds it.
  void forget_moved(std::span<const PageMove> moves) { cache_.forget_moved(moves); }

  /// Of the ledgers, the cache and one process's pages.
  std::string check_invariants() const;
  std::string check_invariants(const Process& process) const;

 private:
  KvPages pages_;
  HostSlots slots_;
  int32_t page_tokens_;
  PrefixCache cache_;
};

}  // namespace neuros::sched
