#pragma once

#include "sched/content_forest.h"
#include "sched/host_slots.h"
#include "sched/ids.h"
#include "sched/kv_pages.h"
#include "sched/page_move.h"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace neuros::sched {

/// Finds pages by what they hold, on the device and in the host tier. A content is in one of the
/// two. Who holds a page holds all its parents too, and pages are released from the deepest up; so
/// what follows a content in the host tier is there as well, and goes before it.
///
/// What leaves the device goes to the host tier, in the place of what was released longest ago
/// there, never of something newer than itself. Without slots it is forgotten.
class PrefixCache {
 public:
  /// `pages` and `slots` outlive the cache; all changes of holders go through hold() and release()
  /// here.
  PrefixCache(KvPages& pages, HostSlots& slots, int32_t page_tokens,
              ContentForest::Hash hash = hash_page);

  /// Where a content is; in neither: it is not known.
  struct Place {
    PageId page = kNoPage;
    SlotId slot = kNoSlot;
    bool on_device() const { return page != kNoPage; }
    bool on_host() const { return slot != kNoSlot; }
  };
  /// The content that follows device page `parent` (kNoPage: begins a sequence) with these tokens.
  Place find(PageId parent, std::span<const TokenId> tokens) const;
  /// The longest run of full pages on the device that `tokens` begins with.
  std::vector<PageId> match(std::span<const TokenId> tokens) const;

  /// Makes a held page known; one that is not full only until its holder lets go of it. If the
  /// content is known already, the holder changes over to that page and `page` loses it; if it was
  /// in the host tier, `page` takes its place. Returns the page the holder has now.
  PageId insert(PageId parent, std::span<const TokenId> tokens, PageId page);
  /// A content comes back from the host tier into a held page that is not known.
  void bring_in(PageId parent, std::span<const TokenId> tokens, PageId page);
  /// The only holder of a page is about to write to it: it is known no longer.
  void disown(PageId page);

  void hold(PageId page);
  /// Release the deepest page of a sequence first; that is what is evicted first.
  void release(PageId page);
  /// Frees the cached page that was released longest ago; false if there is none.
  bool evict();

  /// While it lives, nothing that one of these sequences begins with leaves the host tier to make
  /// room.
  class Pin {
   public:
    Pin(PrefixCache& cache, std::initializer_list<std::span<const TokenId>> sequences);
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin();

   private:
    PrefixCache& cache_;
    std::vector<NodeId> pinned_;
  };

  /// The last page of `tokens`, if it is not full and known and nobody holds it, is forgotten.
  void forget_part(std::span<const TokenId> tokens);
  /// What these moves should have brought to its place, and all that follows it, is forgotten.
  /// Nobody holds any of it.
  void forget_moved(std::span<const PageMove> moves);

  /// What was decided since the last call.
  std::vector<PageMove> take_moves();

  std::string check_invariants() const;

 private:
  /// Where a known content is, and when it was let go of there.
  struct Residence {
    Place place;
    uint64_t released = 0;  ///< key in released_ or in on_host_, except while held or pinned
  };
  NodeId node_of(PageId page) const;
  std::vector<NodeId> run(std::span<const TokenId> tokens) const;
  void settle(NodeId node, PageId page);
  SlotId slot_for(uint64_t released);
  void forget(NodeId node);
  Residence& at(NodeId node) { return residences_.at(static_cast<size_t>(node)); }
  const Residence& at(NodeId node) const { return residences_.at(static_cast<size_t>(node)); }
  std::string check(NodeId node) const;

  KvPages& pages_;
  HostSlots& slots_;
  size_t page_tokens_;
  ContentForest contents_;
  std::vector<Residence> residences_;    ///< by content
  std::vector<NodeId> node_of_page_;     ///< kNoNode: not known
  std::map<uint64_t, NodeId> released_;  ///< in cached pages, longest released first
  std::map<uint64_t, NodeId> on_host_;   ///< in slots, longest released first
  uint64_t next_release_ = 1;
  std::vector<PageMove> moves_;
};

}  // namespace neuros::sched
