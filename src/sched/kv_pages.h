#pragma once

#include "sched/ids.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::sched {

/// The ledger of KV pages. A page is
///   free:   nobody holds it and its content is of no use;
///   held:   by one or more processes;
///   cached: nobody holds it, but its content is kept for reuse.
/// Pages change only through these calls; a wrong one is a CHECK.
class KvPages {
 public:
  explicit KvPages(int32_t pages);

  int32_t total() const { return static_cast<int32_t>(pages_.size()); }
  int32_t free_count() const { return static_cast<int32_t>(free_.size()); }
  int32_t cached_count() const { return cached_; }
  int32_t held_count() const { return total() - free_count() - cached_; }

  int32_t holders(PageId page) const { return at(page).holders; }
  bool kept(PageId page) const { return at(page).kept; }

  /// free -> held once; nullopt if no page is free.
  std::optional<PageId> take();
  /// One more holder of a held or cached page.
  void hold(PageId page);
  /// One holder less; after the last a kept page is cached, another free.
  void release(PageId page);
  /// A held page's content is from now on kept when the last holder lets go.
  void keep(PageId page);
  /// And no longer.
  void unkeep(PageId page);
  /// cached -> free
  void discard(PageId page);

  std::string check_invariants() const;

 private:
  struct Page {
    int32_t holders = 0;
    bool kept = false;
  };
  const Page& at(PageId page) const;
  Page& at(PageId page);

  std::vector<Page> pages_;
  std::vector<PageId> free_;
  int32_t cached_ = 0;
};

}  // namespace neuros::sched
