#include "text/pair_merger.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace neuros::text {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
/// Up to this many symbols, looking for the best pair again and again beats keeping a heap.
constexpr size_t kShortSymbolsMax = 24;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
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

void PairMerger::offer(const MergeTable& table, std::span<const Symbol> symbols, uint32_t left,
                       uint32_t right) {
  if (left == kNone || right == kNone) return;
  const int32_t left_id = symbols[left].id, right_id = symbols[right].id;
  if (const auto* merge = table.find(left_id, right_id)) {
    heap_.push_back({merge->rank, left, left_id, right_id, merge->merged});
    std::push_heap(heap_.begin(), heap_.end());
  }
}

void PairMerger::run_long(const MergeTable& table, std::vector<Symbol>& symbols) {
  const auto count = static_cast<uint32_t>(symbols.size());
  previous_.resize(count);
  next_.resize(count);
  heap_.clear();
  for (uint32_t i = 0; i < count; ++i) {
    previous_[i] = i == 0 ? kNone : i - 1;
    next_[i] = i + 1 == count ? kNone : i + 1;
    if (i == 0) continue;
    if (const auto* merge = table.find(symbols[i - 1].id, symbols[i].id))
      heap_.push_back({merge->rank, i - 1, symbols[i - 1].id, symbols[i].id, merge->merged});
  }
  std::make_heap(heap_.begin(), heap_.end());
  constexpr int32_t kGone = -2;
  while (!heap_.empty()) {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    const uint32_t right = next_[best.left];
    // Stale: one of the two has merged with another neighbour since.
    if (symbols[best.left].id != best.left_id || right == kNone ||
        symbols[right].id != best.right_id)
      continue;
    symbols[best.left].id = best.merged;
    symbols[right].id = kGone;
    next_[best.left] = next_[right];
    if (next_[right] != kNone) previous_[next_[right]] = best.left;
    offer(table, symbols, previous_[best.left], best.left);
    offer(table, symbols, best.left, next_[best.left]);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.id == kGone; });
}

}  // namespace neuros::text
