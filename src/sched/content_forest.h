#pragma once

#include "sched/ids.h"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace neuros::sched {

/// Number of a content in the forest; stays the same wherever the content moves.
using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;

/// Hash of a page: of its tokens and, through `parent`, of everything before them.
uint64_t hash_page(uint64_t parent, std::span<const TokenId> tokens);

/// What KV pages hold, by tokens. A page's keys and values depend on all tokens before it, so the
/// contents form a forest: one is known by its parent and its own tokens. Hashes only speed the
/// search up; parent and tokens are compared, so that a collision cannot give a wrong content.
class ContentForest {
 public:
  using Hash = uint64_t (*)(uint64_t parent, std::span<const TokenId> tokens);

  /// At most `nodes_max` contents at a time.
  ContentForest(int32_t nodes_max, Hash hash);

  /// The content that follows `parent` (kNoNode: begins a sequence) with these tokens, or kNoNode.
  NodeId find(NodeId parent, std::span<const TokenId> tokens) const;
  /// Makes a content known that is not.
  NodeId add(NodeId parent, std::span<const TokenId> tokens);
  /// Forgets a content that nothing follows.
  void remove(NodeId node);

  bool known(NodeId node) const { return !at(node).tokens.empty(); }
  NodeId parent(NodeId node) const { return at(node).parent; }
  size_t size() const { return by_hash_.size(); }
  /// These contents and all that follow them; every one before its parent.
  std::vector<NodeId> with_descendants(const std::vector<NodeId>& roots) const;

  std::string check_invariants() const;

 private:
  struct Node {
    NodeId parent = kNoNode;
    uint64_t hash = 0;
    std::vector<TokenId> tokens;  ///< empty: no content has this number
    int32_t children = 0;
  };
  uint64_t hash_of(NodeId parent, std::span<const TokenId> tokens) const;
  Node& at(NodeId node) { return nodes_.at(static_cast<size_t>(node)); }
  const Node& at(NodeId node) const { return nodes_.at(static_cast<size_t>(node)); }

  Hash hash_;
  std::vector<Node> nodes_;
  std::vector<NodeId> free_;
  std::unordered_multimap<uint64_t, NodeId> by_hash_;
};

}  // namespace neuros::sched
