#include "text/pair_merger.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

using Merges = std::map<std::pair<int, int>, MergeTable::Merge>;

/// The definition: again and again the leftmost pair of lowest rank.
std::vector<int32_t> merge_plainly(const Merges& merges, std::vector<int32_t> ids) {
  while (true) {
    const MergeTable::Merge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = merges.find({ids[i], ids[i + 1]});
      if (found == merges.end() || (best && best->rank <= found->second.rank)) continue;
      best = &found->second;
      at = i;
    }
    if (best == nullptr) return ids;
    ids[at] = best->merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(PairMerger, MergesAsTheDefinitionSays) {
  std::mt19937 random(1);
  PairMerger merger;
  for (int round = 0; round < 400; ++round) {
    Merges merges;
    MergeTable table;
    for (int i = 0; i < 40; ++i) {
      const int left = static_cast<int>(random() % 12), right = static_cast<int>(random() % 12);
      const MergeTable::Merge merge{static_cast<uint32_t>(random() % 8),
                                    static_cast<int32_t>(random() % 12)};
      merges.emplace(std::pair(left, right), merge);
      table.add(left, right, merge);
    }
    std::vector<int32_t> ids(random() % 120);
    for (auto& id : ids) id = static_cast<int32_t>(random() % 5) - 1;
    std::vector<Symbol> symbols;
    for (size_t i = 0; i < ids.size(); ++i) symbols.push_back({ids[i], static_cast<uint32_t>(i)});
    if (ids.empty()) symbols.push_back({ids.emplace_back(0), 0});
    merger.run(table, symbols);
    std::vector<int32_t> merged;
    for (const Symbol& symbol : symbols) merged.push_back(symbol.id);
    ASSERT_EQ(merged, merge_plainly(merges, ids)) << "round " << round;
    EXPECT_EQ(symbols[0].offset, 0u);
  }
}

TEST(MergeTable, GrowsAndKeepsTheFirst) {
  MergeTable table;
  for (int i = 0; i < 10000; ++i) table.add(i, i + 1, {static_cast<uint32_t>(i), i});
  table.add(5, 6, {99, 99});
  for (int i = 0; i < 10000; ++i) {
    ASSERT_NE(table.find(i, i + 1), nullptr);
    EXPECT_EQ(table.find(i, i + 1)->merged, i);
  }
  EXPECT_EQ(table.find(5, 7), nullptr);
  EXPECT_EQ(table.find(-1, 0), nullptr);
}

}  // namespace
}  // namespace neuros::text
