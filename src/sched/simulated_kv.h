#pragma once

#include "sched/page_move.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::sched {

/// Fake keys and values of the simulator: of each token in a page a hash of all tokens up to it, 0
/// where there is nothing. What is moved away is gone from where it was.
class SimulatedKv {
 public:
  SimulatedKv(int32_t pages, int32_t host_pages, int32_t page_tokens);

  uint64_t& at(PageId page, int32_t offset) {
    return pages_.at(static_cast<size_t>(page)).at(static_cast<size_t>(offset));
  }
  /// Carries a move out; returns the rule it breaks, "" if none.
  std::string move(const PageMove& move);
  /// A copy that failed: nobody knows what is there now.
  void spoil(const PageMove& move);
  void spoil(PageId page) { pages_.at(static_cast<size_t>(page)).assign(page_tokens_, kGarbage); }

 private:
  static constexpr uint64_t kGarbage = 0xbad;
  using Content = std::vector<uint64_t>;  ///< [page_tokens]

  size_t page_tokens_;
  std::vector<Content> pages_, slots_;
};

}  // namespace neuros::sched
