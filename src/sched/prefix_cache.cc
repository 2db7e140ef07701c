#include "sched/prefix_cache.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace neuros::sched {

PrefixCache::PrefixCache(KvPages& pages, HostSlots& slots, int32_t page_tokens,
                         ContentForest::Hash hash)
    : pages_(pages),
      slots_(slots),
      page_tokens_(static_cast<size_t>(page_tokens)),
      contents_(pages.total() + slots.total(), hash),
      residences_(static_cast<size_t>(pages.total() + slots.total())),
      node_of_page_(static_cast<size_t>(pages.total()), kNoNode) {}

NodeId PrefixCache::node_of(PageId page) const {
  return page == kNoPage ? kNoNode : node_of_page_.at(static_cast<size_t>(page));
}

PrefixCache::Place PrefixCache::find(PageId parent, std::span<const TokenId> tokens) const {
  const NodeId above = node_of(parent);
  CHECK(parent == kNoPage || above != kNoNode, "only what follows a known page can be known");
  const NodeId node = contents_.find(above, tokens);
  return node == kNoNode ? Place{} : at(node).place;
}

/// Known contents that `tokens` begin with; the last may be of a page that is not full.
std::vector<NodeId> PrefixCache::run(std::span<const TokenId> tokens) const {
  std::vector<NodeId> found;
  NodeId parent = kNoNode;
  for (size_t begin = 0; begin < tokens.size(); begin += page_tokens_) {
    const size_t count = std::min(page_tokens_, tokens.size() - begin);
    parent = contents_.find(parent, tokens.subspan(begin, count));
    if (parent == kNoNode) break;
    found.push_back(parent);
  }
  return found;
}

std::vector<PageId> PrefixCache::match(std::span<const TokenId> tokens) const {
  std::vector<PageId> found;
  for (const NodeId node : run(tokens.first(tokens.size() / page_tokens_ * page_tokens_))) {
    if (!at(node).place.on_device()) break;
    found.push_back(at(node).place.page);
  }
  return found;
}

PageId PrefixCache::insert(PageId parent, std::span<const TokenId> tokens, PageId page) {
  CHECK(tokens.size() <= page_tokens_);
  const Place known = find(parent, tokens);
  if (known.page == page) return page;
  if (known.on_device()) {
    hold(known.page);
    release(page);
    return known.page;
  }
  CHECK(parent == kNoPage || pages_.holders(parent) > 0, "a holder holds all parents");
  const NodeId above = node_of(parent);
  settle(known.on_host() ? contents_.find(above, tokens) : contents_.add(above, tokens), page);
  return page;
}

void PrefixCache::bring_in(PageId parent, std::span<const TokenId> tokens, PageId page) {
  const NodeId node = contents_.find(node_of(parent), tokens);
  CHECK(node != kNoNode && at(node).place.on_host());
  moves_.push_back({PageMove::Kind::kIn, page, at(node).place.slot});
  settle(node, page);
}

/// The content is in this held page from now on.
void PrefixCache::settle(NodeId node, PageId page) {
  Residence& residence = at(node);
  if (residence.place.on_host()) {
    on_host_.erase(residence.released);
    slots_.give_back(residence.place.slot);
  }
  residence.place = {.page = page};
  pages_.keep(page);
  node_of_page_[static_cast<size_t>(page)] = node;
}

void PrefixCache::disown(PageId page) {
  CHECK(pages_.holders(page) == 1);
  pages_.unkeep(page);
  forget(node_of(page));
}

void PrefixCache::hold(PageId page) {
  if (pages_.holders(page) == 0) released_.erase(at(node_of(page)).released);
  pages_.hold(page);
}

void PrefixCache::release(PageId page) {
  pages_.release(page);
  if (!pages_.kept(page) || pages_.holders(page) > 0) return;
  const NodeId node = node_of(page);
  at(node).released = next_release_++;
  released_.emplace(at(node).released, node);
}

bool PrefixCache::evict() {
  if (released_.empty()) return false;
  const NodeId node = released_.begin()->second;
  released_.erase(released_.begin());
  Residence& residence = at(node);
  const PageId page = residence.place.page;
  const SlotId slot = slot_for(residence.released);
  if (slot == kNoSlot) {
    forget(node);
  } else {
    moves_.push_back({PageMove::Kind::kOut, page, slot});
    residence.place = {.page = kNoPage, .slot = slot};
    on_host_.emplace(residence.released, node);
    node_of_page_[static_cast<size_t>(page)] = kNoNode;
  }
  pages_.discard(page);
  return true;
}

/// Room in the host tier for what was released then; kNoSlot: all that is there is pinned, or there
/// are no slots. Pages leave the device in the order of their release, so what is there is older.
SlotId PrefixCache::slot_for(uint64_t released) {
  if (slots_.free_count() == 0) {
    if (on_host_.empty()) return kNoSlot;
    const auto [oldest, node] = *on_host_.begin();
    CHECK(oldest < released);
    forget(node);
  }
  return *slots_.take();
}

/// A content that no cached page has: on_host_ is seen to here, released_ by who calls.
void PrefixCache::forget(NodeId node) {
  Residence& residence = at(node);
  if (residence.place.on_host()) {
    on_host_.erase(residence.released);
    slots_.give_back(residence.place.slot);
  } else {
    node_of_page_[static_cast<size_t>(residence.place.page)] = kNoNode;
  }
  contents_.remove(node);
  residence = {};
}

PrefixCache::Pin::Pin(PrefixCache& cache, std::initializer_list<std::span<const TokenId>> sequences)
    : cache_(cache) {
  for (const auto tokens : sequences) {
    if (cache_.on_host_.empty()) return;
    for (const NodeId node : cache_.run(tokens)) {
      const Residence& residence = cache_.at(node);
      const bool there = residence.place.on_host();
      if (there && cache_.on_host_.erase(residence.released) > 0) pinned_.push_back(node);
    }
  }
}

PrefixCache::Pin::~Pin() {
  for (const NodeId node : pinned_) {
    const Residence& residence = cache_.at(node);
    if (residence.place.on_host()) cache_.on_host_.emplace(residence.released, node);
  }
}

void PrefixCache::forget_part(std::span<const TokenId> tokens) {
  if (tokens.size() % page_tokens_ == 0) return;
  const std::vector<NodeId> found = run(tokens);
  if (found.size() * page_tokens_ < tokens.size()) return;
  const Residence& residence = at(found.back());
  if (residence.place.on_device()) {
    const PageId page = residence.place.page;
    released_.erase(residence.released);
    forget(found.back());
    pages_.discard(page);
  } else {
    forget(found.back());
  }
}

void PrefixCache::forget_moved(std::span<const PageMove> moves) {
  std::vector<NodeId> wrong;
  std::vector<bool> moved_to(static_cast<size_t>(slots_.total()));
  for (const PageMove& move : moves) {
    if (move.kind == PageMove::Kind::kOut) {
      moved_to[static_cast<size_t>(move.slot)] = true;
    } else if (node_of(move.page) != kNoNode) {
      wrong.push_back(node_of(move.page));
    }
  }
  for (const auto& [released, node] : on_host_) {
    if (moved_to[static_cast<size_t>(at(node).place.slot)]) wrong.push_back(node);
  }
  for (const NodeId node : contents_.with_descendants(wrong)) {
    const PageId page = at(node).place.page;
    if (page != kNoPage) released_.erase(at(node).released);
    forget(node);
    if (page != kNoPage) pages_.discard(page);
  }
}

std::vector<PageMove> PrefixCache::take_moves() {
  return std::exchange(moves_, {});
}

std::string PrefixCache::check(NodeId node) const {
  const auto& [place, released] = at(node);
  const NodeId parent = contents_.parent(node);
  if (place.on_device() == place.on_host()) return "content in neither tier or in both";
  if (place.on_host()) {
    const auto it = on_host_.find(released);
    if (it == on_host_.end() || it->second != node) return "host tier and its order differ";
    return slots_.used(place.slot) ? "" : "content in a free slot";
  }
  if (node_of(place.page) != node) return "page is not its content's";
  if (parent != kNoNode && !at(parent).place.on_device()) return "on the device before its parent";
  const bool cached = pages_.holders(place.page) == 0;
  if (cached != (released_.contains(released) && released_.at(released) == node)) {
    return "released pages and cached pages differ";
  }
  if (!cached && parent != kNoNode && pages_.holders(at(parent).place.page) == 0) {
    return "page held without its parent";
  }
  return "";
}

std::string PrefixCache::check_invariants() const {
  std::string wrong = contents_.check_invariants();
  for (NodeId node = 0; wrong.empty() && node < static_cast<NodeId>(residences_.size()); ++node) {
    if (contents_.known(node)) wrong = check(node);
  }
  if (!wrong.empty()) return wrong;
  size_t on_device = 0;
  for (PageId page = 0; page < pages_.total(); ++page) {
    const NodeId node = node_of(page);
    if ((node != kNoNode) != pages_.kept(page)) return "kept pages and known pages differ";
    if (node == kNoNode) continue;
    ++on_device;
    if (!contents_.known(node) || at(node).place.page != page) return "page of another content";
  }
  if (on_device + on_host_.size() != contents_.size()) return "a content is nowhere";
  if (static_cast<size_t>(slots_.used_count()) != on_host_.size()) return "slot used for nothing";
  if (released_.size() != static_cast<size_t>(pages_.cached_count())) return "eviction list is off";
  return slots_.check_invariants();
}

}  // namespace neuros::sched
