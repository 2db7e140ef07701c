#pragma once

/// Byte-pair merging on ids: the one engine behind byte-level BPE (merges in order), tiktoken (rank
/// of the result) and SentencePiece BPE (score of the result).

#include <cstddef>
#include <cstdint>
#include <span>
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
  struct Candidate {
    uint32_t rank, left;
    int32_t left_id, right_id, merged;
    bool operator<(const Candidate& other) const {  // for a heap with the best on top
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };

  void run_short(const MergeTable& table, std::vector<Symbol>& symbols);
  void run_long(const MergeTable& table, std::vector<Symbol>& symbols);
  void offer(const MergeTable& table, std::span<const Symbol> symbols, uint32_t left,
             uint32_t right);

  std::vector<Candidate> heap_;
  std::vector<uint32_t> previous_, next_, ranks_;
};

}  // namespace neuros::text
