#include "text/pair_merger.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

namespace neuros::text {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
/// Up to this many symbols, looking for the best pair again and again beats keeping a heap.
constexpr size_t kShortSymbolsMax = 24;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

constexpr uint64_t kNoCandidate = ~uint64_t{0};

uint64_t candidate(uint32_t rank, uint32_t left) {
  return uint64_t{rank} << 32 | left;
}

uint64_t mix(uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ (key >> 29);
}

}  // namespace

MergeTable::MergeTable(size_t merges_expected)
    : slots_(std::bit_ceil(std::max<size_t>(16, merges_expected + merges_expected / 2 + 1))) {}

size_t MergeTable::slot_of(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = mix(key) & mask;
  while (slots_[slot].key != key && slots_[slot].key != kEmpty) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.key != kEmpty) slots_[slot_of(slot.key)] = slot;
}

void MergeTable::add(int32_t left, int32_t right, Merge merge) {
  if ((count_ + 1) * 3 > slots_.size() * 2) grow();
  const uint64_t key = pair_key(left, right);
  Slot& slot = slots_[slot_of(key)];
  if (slot.key == key) return;
  slot = {key, merge};
  ++count_;
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return nullptr;
  const Slot& slot = slots_[slot_of(pair_key(left, right))];
  return slot.key == kEmpty ? nullptr : &slot.merge;
}

void PairMerger::run(const MergeTable& table, std::vector<Symbol>& symbols) {
  if (symbols.size() <= kShortSymbolsMax) {
    run_short(table, symbols);
  } else {
    run_long(table, symbols);
  }
}

void PairMerger::run_short(const MergeTable& table, std::vector<Symbol>& symbols) {
  const auto rank_at = [&](size_t i) {
    if (i + 1 >= symbols.size()) return kNone;
    const auto* merge = table.find(symbols[i].id, symbols[i + 1].id);
    return merge == nullptr ? kNone : merge->rank;
  };
  ranks_.resize(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i) ranks_[i] = rank_at(i);
  while (symbols.size() > 1) {
    const auto best = std::min_element(ranks_.begin(), ranks_.end());
    if (*best == kNone) break;
    const auto i = static_cast<size_t>(best - ranks_.begin());
    symbols[i].id = table.find(symbols[i].id, symbols[i + 1].id)->merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    ranks_.erase(best + 1);
    ranks_[i] = rank_at(i);
    if (i > 0) ranks_[i - 1] = rank_at(i - 1);
  }
}

void PairMerger::link_nodes(const MergeTable& table, const std::vector<Symbol>& symbols) {
  const auto count = static_cast<uint32_t>(symbols.size());
  nodes_.resize(count);
  sorted_.clear();
  for (uint32_t i = 0; i < count; ++i) {
    nodes_[i] = {symbols[i].id, i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1, kNone};
    if (i + 1 == count) break;
    const auto* merge = table.find(symbols[i].id, symbols[i + 1].id);
    if (merge == nullptr) continue;
    nodes_[i].rank = merge->rank;
    sorted_.push_back(candidate(merge->rank, i));
  }
  std::sort(sorted_.begin(), sorted_.end());
  sorted_done_ = 0;
  heap_.clear();
}

/// The smallest candidate of both queues, stale or not; kNoCandidate if both are empty.
uint64_t PairMerger::take_best() {
  const uint64_t from_start = sorted_done_ < sorted_.size() ? sorted_[sorted_done_] : kNoCandidate;
  if (heap_.empty() || from_start < heap_.front()) {
    ++sorted_done_;
    return from_start;
  }
  const uint64_t best = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  heap_.pop_back();
  return best;
}

void PairMerger::rank_again(const MergeTable& table, uint32_t left) {
  if (left == kNone) return;
  Node& node = nodes_[left];
  const auto* merge = node.next == kNone ? nullptr : table.find(node.id, nodes_[node.next].id);
  node.rank = merge == nullptr ? kNone : merge->rank;
  if (merge == nullptr) return;
  heap_.push_back(candidate(merge->rank, left));
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void PairMerger::merge_at(const MergeTable& table, uint32_t left) {
  Node& node = nodes_[left];
  Node& gone = nodes_[node.next];
  node.id = table.find(node.id, gone.id)->merged;
  node.next = gone.next;
  if (gone.next != kNone) nodes_[gone.next].previous = left;
  gone.rank = kNone;
  rank_again(table, node.previous);
  rank_again(table, left);
}

void PairMerger::run_long(const MergeTable& table, std::vector<Symbol>& symbols) {
  link_nodes(table, symbols);
  for (uint64_t best; (best = take_best()) != kNoCandidate;) {
    const auto left = static_cast<uint32_t>(best);
    if (nodes_[left].rank == static_cast<uint32_t>(best >> 32)) merge_at(table, left);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i != kNone; i = nodes_[i].next)
    symbols[kept++] = {nodes_[i].id, symbols[i].offset};
  symbols.resize(kept);
}

}  // namespace neuros::text
