#include "sched/content_forest.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace neuros::sched {
namespace {

/// The finaliser of splitmix64 (https://prng.di.unimi.it/splitmix64.c).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t hash_page(uint64_t parent, std::span<const TokenId> tokens) {
  uint64_t hash = mix(parent + 0x9e3779b97f4a7c15U);
  for (const TokenId token : tokens) {
    hash = mix(hash + 0x9e3779b97f4a7c15U + static_cast<uint32_t>(token));
  }
  return hash;
}

ContentForest::ContentForest(int32_t nodes_max, Hash hash)
    : hash_(hash), nodes_(static_cast<size_t>(nodes_max)) {
  free_.reserve(nodes_.size());
  for (NodeId node = nodes_max - 1; node >= 0; --node) free_.push_back(node);
}

uint64_t ContentForest::hash_of(NodeId parent, std::span<const TokenId> tokens) const {
  return hash_(parent == kNoNode ? 0 : at(parent).hash, tokens);
}

NodeId ContentForest::find(NodeId parent, std::span<const TokenId> tokens) const {
  const auto [first, last] = by_hash_.equal_range(hash_of(parent, tokens));
  for (auto it = first; it != last; ++it) {
    const Node& node = at(it->second);
    if (node.parent == parent && std::ranges::equal(node.tokens, tokens)) return it->second;
  }
  return kNoNode;
}

NodeId ContentForest::add(NodeId parent, std::span<const TokenId> tokens) {
  CHECK(!tokens.empty() && !free_.empty());
  const NodeId id = free_.back();
  free_.pop_back();
  Node& node = at(id);
  node.parent = parent;
  node.hash = hash_of(parent, tokens);
  node.tokens.assign(tokens.begin(), tokens.end());
  by_hash_.emplace(node.hash, id);
  if (parent != kNoNode) ++at(parent).children;
  return id;
}

void ContentForest::remove(NodeId id) {
  Node& node = at(id);
  CHECK(node.children == 0, "what follows is forgotten before");
  const auto [first, last] = by_hash_.equal_range(node.hash);
  const auto it = std::find_if(first, last, [&](const auto& entry) { return entry.second == id; });
  CHECK(it != last);
  by_hash_.erase(it);
  if (node.parent != kNoNode) --at(node.parent).children;
  node = Node{};
  free_.push_back(id);
}

std::vector<NodeId> ContentForest::with_descendants(const std::vector<NodeId>& roots) const {
  std::vector<bool> is_root(nodes_.size());
  for (const NodeId root : roots) is_root[static_cast<size_t>(root)] = true;
  std::vector<std::pair<int32_t, NodeId>> found;  // {-depth, node}
  for (NodeId node = 0; node < static_cast<NodeId>(nodes_.size()); ++node) {
    int32_t depth = 0;
    bool below = false;
    for (NodeId n = known(node) ? node : kNoNode; n != kNoNode; n = parent(n), ++depth) {
      below = below || is_root[static_cast<size_t>(n)];
    }
    if (below) found.emplace_back(-depth, node);
  }
  std::ranges::sort(found);
  std::vector<NodeId> nodes;
  for (const auto& [depth, node] : found) nodes.push_back(node);
  return nodes;
}

std::string ContentForest::check_invariants() const {
  std::vector<int32_t> children(nodes_.size());
  for (NodeId node = 0; node < static_cast<NodeId>(nodes_.size()); ++node) {
    if (!known(node)) continue;
    if (find(parent(node), at(node).tokens) != node) return "known content is not found";
    if (parent(node) == kNoNode) continue;
    if (!known(parent(node))) return "parent content is unknown";
    ++children[static_cast<size_t>(parent(node))];
  }
  for (size_t node = 0; node < nodes_.size(); ++node) {
    if (children[node] != nodes_[node].children) return "count of what follows a content is wrong";
  }
  if (size() + free_.size() != nodes_.size()) return "contents and free numbers do not add up";
  return "";
}

}  // namespace neuros::sched
