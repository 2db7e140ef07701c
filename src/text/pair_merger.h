#pragma once

/// Byte-pair merging on ids: the one engine behind byte-level BPE (merges in order), tiktoken (rank
/// of the result) and SentencePiece BPE (score of the result).

#include <cstddef>
#include <cstdint>
#include <vector>

namespace neuros::text {

/// Which neighbours merge, into what, and how early.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = 0;   ///< lower merges first
    int32_t merged = 0;  ///< the id that replaces the pair
  };

  explicit MergeTable(size_t merges_expected = 0);
  /// The first call for a pair of ids stays. Ids are not negative.
  void add(int32_t left, int32_t right, Merge merge);
  /// nullptr if the pair does not merge; negative ids never do.
  const Merge* find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  size_t slot_of(uint64_t key) const;
  void grow();

  std::vector<Slot> slots_;  // open addressing, a power of two, at most two thirds full
  size_t count_ = 0;
};

/// A run of bytes that is one symbol so far.
struct Symbol {
  int32_t id = -1;      ///< negative: not in the vocabulary, never merges
  uint32_t offset = 0;  ///< where it begins in its text; it ends where the next symbol begins
};

/// Merges the neighbours with the lowest rank, the leftmost of equals, until none is left:
/// O(n log n). Keeps its buffers between calls; one per thread.
class PairMerger {
 public:
  void run(const MergeTable& table, std::vector<Symbol>& symbols);

 private:
  /// A symbol in the list of those that are left, with the rank of its merge with the next one.
  struct Node {
    int32_t id;
    uint32_t previous, next, rank;
  };

  void run_short(const MergeTable& table, std::vector<Symbol>& symbols);
  void run_long(const MergeTable& table, std::vector<Symbol>& symbols);
  void link_nodes(const MergeTable& table, const std::vector<Symbol>& symbols);
  void merge_at(const MergeTable& table, uint32_t left);
  void rank_again(const MergeTable& table, uint32_t left);
  uint64_t take_best();

  std::vector<uint32_t> ranks_;
  std::vector<Node> nodes_;
  // Candidates: rank in the upper half, index of the left node in the lower, so that the smallest
  // is the best. Those of the start are sorted once, later ones live in a heap. An entry is stale
  // when the node's rank is not its own any more.
  std::vector<uint64_t> sorted_, heap_;
  size_t sorted_done_ = 0;
};

}  // namespace neuros::text
