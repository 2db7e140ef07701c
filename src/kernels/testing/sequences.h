#pragma once

#include "kernels/kv_layout.h"
#include "kernels/testing/buffers.h"

#include <vector>

namespace neuros::kernels::testing {

/// A batch of sequences, each somewhere in its text, with pages scattered over an arena.
class Sequences {
 public:
  struct Part {
    int32_t rows;
    int32_t first_position;
    bool decodes = false;  ///< SequenceSlice
  };
  Sequences(Random& random, std::vector<Part> parts, int32_t page_tokens);
  /// One to four sequences.
  static Sequences random(Random& random, int32_t page_tokens);

  Sequences(const Sequences&) = delete;
  Sequences(Sequences&&) = default;

  std::span<const SequenceSlice> slices() const { return slices_; }
  int32_t rows() const;
  int32_t pages() const { return page_count_; }
  /// Positions of the longest.
  int32_t context() const;

 private:
  std::vector<std::vector<int32_t>> page_tables_;
  std::vector<SequenceSlice> slices_;
  int32_t page_count_ = 0;
};

/// The pages of an arena. All bits set, which is NaN in every type, until written.
class Pages {
 public:
  Pages(const KvLayout& layout, int32_t count);

  KvCache cache() { return {layout_, bytes_.data()}; }
  /// Random keys and values at every position before the last of each sequence, the last included.
  void fill(Random& random, std::span<const SequenceSlice> sequences);
  /// All elements as floats; unwritten ones are NaN.
  std::vector<float> elements() const;
  std::span<const std::byte> bytes() { return bytes_.span(); }

 private:
  void write(std::byte* head, int64_t index, float value);

  KvLayout layout_;
  int64_t size_;
  AlignedBytes bytes_;
};

}  // namespace neuros::kernels::testing
