#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace neuros::text {

/// A set of byte strings, each with a value, for walking a text byte by byte. Immutable, compact
/// (9 bytes a node): the children of a node stand next to each other, sorted by their byte.
class Trie {
 public:
  using Node = uint32_t;
  static constexpr int32_t kNoValue = -1;

  struct Entry {
    std::string_view key;  ///< not empty; need not outlive the constructor
    int32_t value = 0;     ///< not negative
  };

  Trie() : Trie(std::span<const Entry>{}) {}
  /// Of two equal keys the one with the lower value stays.
  explicit Trie(std::span<const Entry> entries);

  Node root() const { return 0; }
  /// The child along one byte; nullopt if there is none.
  std::optional<Node> child(Node node, char byte) const;
  /// kNoValue where no key ends at this node.
  int32_t value(Node node) const { return values_[node]; }

  struct Match {
    size_t bytes = 0;
    int32_t value = kNoValue;
  };
  /// The longest key that text[offset..] starts with; bytes 0 if none.
  Match longest(std::string_view text, size_t offset) const;
  bool empty() const { return labels_.size() <= 1; }

 private:
  std::vector<unsigned char> labels_;  // by node: the byte on the edge that leads to it
  std::vector<uint32_t> first_child_;  // by node, one more at the end: children are
  std::vector<int32_t> values_;        //   [first_child_[n], first_child_[n + 1])
};

}  // namespace neuros::text
