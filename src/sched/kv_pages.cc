#include "sched/kv_pages.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::sched {

KvPages::KvPages(int32_t pages) : pages_(static_cast<size_t>(pages)) {
  free_.reserve(pages_.size());
  for (PageId page = pages - 1; page >= 0; --page) free_.push_back(page);
}

const KvPages::Page& KvPages::at(PageId page) const {
  CHECK(page >= 0 && page < total());
  return pages_[static_cast<size_t>(page)];
}

KvPages::Page& KvPages::at(PageId page) {
  CHECK(page >= 0 && page < total());
  return pages_[static_cast<size_t>(page)];
}

std::optional<PageId> KvPages::take() {
  if (free_.empty()) return std::nullopt;
  const PageId page = free_.back();
  free_.pop_back();
  at(page).holders = 1;
  return page;
}

void KvPages::hold(PageId page) {
  Page& entry = at(page);
  CHECK(entry.holders > 0 || entry.kept, "a free page is taken, not held");
  if (entry.holders == 0) --cached_;
  ++entry.holders;
}

void KvPages::release(PageId page) {
  Page& entry = at(page);
  CHECK(entry.holders > 0, "released more often than held");
  if (--entry.holders > 0) return;
  if (entry.kept) {
    ++cached_;
  } else {
    free_.push_back(page);
  }
}

void KvPages::keep(PageId page) {
  Page& entry = at(page);
  CHECK(entry.holders > 0 && !entry.kept);
  entry.kept = true;
}

void KvPages::unkeep(PageId page) {
  Page& entry = at(page);
  CHECK(entry.holders > 0 && entry.kept);
  entry.kept = false;
}

void KvPages::discard(PageId page) {
  Page& entry = at(page);
  CHECK(entry.holders == 0 && entry.kept, "only cached pages are discarded");
  entry.kept = false;
  --cached_;
  free_.push_back(page);
}

std::string KvPages::check_invariants() const {
  int32_t unused = 0, cached = 0;
  for (const Page& page : pages_) {
    if (page.holders < 0) return "page held by fewer than none";
    if (page.holders == 0) ++(page.kept ? cached : unused);
  }
  if (unused != free_count()) return "free list differs from the pages nobody holds or keeps";
  if (cached != cached_) return "count of cached pages is wrong";
  std::vector<PageId> sorted = free_;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return "page free twice";
  for (const PageId page : free_) {
    if (at(page).holders != 0 || at(page).kept) return "page in use is in the free list";
  }
  return "";
}

}  // namespace neuros::sched
