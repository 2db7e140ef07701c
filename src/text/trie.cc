#include "text/trie.h"

#include <algorithm>

namespace neuros::text {
namespace {

/// The sorted entries that share the path to one node.
struct Range {
  size_t begin, end, depth;
};

std::vector<Trie::Entry> sorted_unique(std::span<const Trie::Entry> entries) {
  std::vector<Trie::Entry> sorted(entries.begin(), entries.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.key != b.key ? a.key < b.key : a.value < b.value;
  });
  const auto same_key = [](const auto& a, const auto& b) { return a.key == b.key; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same_key), sorted.end());
  return sorted;
}

}  // namespace

Trie::Trie(std::span<const Entry> entries) {
  const std::vector<Entry> sorted = sorted_unique(entries);
  std::vector<Range> queue{{0, sorted.size(), 0}};  // breadth first: queue index = node
  labels_.push_back(0);
  for (size_t node = 0; node < queue.size(); ++node) {
    auto [begin, end, depth] = queue[node];
    const bool ends_here = begin < end && sorted[begin].key.size() == depth && depth > 0;
    values_.push_back(ends_here ? sorted[begin].value : kNoValue);
    while (begin < end && sorted[begin].key.size() == depth) ++begin;
    first_child_.push_back(static_cast<uint32_t>(queue.size()));
    while (begin < end) {
      const char byte = sorted[begin].key[depth];
      size_t stop = begin;
      while (stop < end && sorted[stop].key[depth] == byte) ++stop;
      queue.push_back({begin, stop, depth + 1});
      labels_.push_back(static_cast<unsigned char>(byte));
      begin = stop;
    }
  }
  first_child_.push_back(static_cast<uint32_t>(queue.size()));
}

std::optional<Trie::Node> Trie::child(Node node, char byte) const {
  const auto first = labels_.begin() + first_child_[node];
  const auto last = labels_.begin() + first_child_[node + 1];
  const auto found = std::lower_bound(first, last, static_cast<unsigned char>(byte));
  if (found == last || *found != static_cast<unsigned char>(byte)) return std::nullopt;
  return static_cast<Node>(found - labels_.begin());
}

Trie::Match Trie::longest(std::string_view text, size_t offset) const {
  Match best;
  Node node = root();
  for (size_t i = offset; i < text.size(); ++i) {
    const auto next = child(node, text[i]);
    if (!next) break;
    node = *next;
    if (values_[node] != kNoValue) best = {i + 1 - offset, values_[node]};
  }
  return best;
}

}  // namespace neuros::text
