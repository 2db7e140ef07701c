#pragma once

/// One process as the scheduler sees it.

#include "sched/ids.h"

#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

namespace neuros::sched {

struct Process {
  ProcessId id = 0;
  uint64_t sequence = 0;  ///< order of arrival
  Priority priority = Priority::kMedium;
  std::vector<TokenId> tokens;  ///< the prompt, then what was generated
  int32_t prompt_tokens = 0;
  int32_t max_new_tokens = 0;
  bool prompt_logits = false;

  std::vector<PageId>
      pages;              ///< hold the first `computed` tokens, and those of the batch in flight
  int32_t computed = 0;   ///< leading tokens whose keys and values are in `pages`
  int32_t reached = 0;    ///< the most `computed` ever was; below it is recomputation
  int32_t parked = 0;     ///< what was computed when it was last suspended
  int32_t owed_from = 0;  ///< first position whose logits were not delivered and may be wanted

  int64_t arrived_us = 0;
  int64_t admitted_us = -1;
  int64_t idle_since_us = 0;  ///< arrival, or the end of its last batch
  int64_t waited_us = 0;      ///< time outside batches before `idle_since_us`
  int32_t cached_tokens = 0;
  bool running = false;    ///< has a place among the running, and perhaps pages
  bool in_flight = false;  ///< is part of the batch in flight
  bool cancelled = false;  ///< ends when the batch in flight is done

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t remaining() const { return size() - computed; }
  int32_t generated() const { return size() - prompt_tokens; }
  bool wants_token() const { return generated() < max_new_tokens; }
  bool owes_prompt_logits() const { return prompt_logits && owed_from < prompt_tokens; }
  int64_t waited_until(int64_t now_us) const {
    return waited_us + (in_flight ? 0 : now_us - idle_since_us);
  }
};

/// Consecutive tokens of one process in one batch: positions [begin, end).
struct Chunk {
  Process* process = nullptr;
  int32_t begin = 0;
  int32_t end = 0;

  int32_t rows() const { return end - begin; }
  std::span<const TokenId> tokens() const {
    return std::span(process->tokens)
        .subspan(static_cast<size_t>(begin), static_cast<size_t>(rows()));
  }
  bool logits_all() const { return process->owes_prompt_logits() && begin >= process->owed_from; }
  bool logits_last() const { return end == process->size() && process->wants_token(); }
  int32_t logit_rows() const { return logits_all() ? rows() : logits_last() ? 1 : 0; }
};

/// The one order of everything: who is rescued first; then by priority, oldest first. Rows, pages
/// and places go down this order, victims are taken up it.
class Order {
 public:
  /// `rescued` may be null.
  explicit Order(const Process* rescued) : rescued_(rescued) {}

  bool outranks(const Process& a, const Process& b) const { return key(a) < key(b); }
  /// Whether somebody who runs gives his place and his pages to one who waits: to a higher
  /// priority; to who is rescued unless he is critical or came before it.
  bool yields(const Process& runs, const Process& waits) const {
    if (&runs == rescued_) return false;
    if (&waits != rescued_) return runs.priority < waits.priority;
    return runs.priority != Priority::kCritical && runs.sequence > waits.sequence;
  }

 private:
  std::tuple<int, uint64_t> key(const Process& p) const {
    return {&p == rescued_ ? 0 : 3 - static_cast<int>(p.priority), p.sequence};
  }

  const Process* rescued_;
};

}  // namespace neuros::sched
