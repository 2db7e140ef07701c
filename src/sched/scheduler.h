#pragma once

/// Who runs next, as a deterministic state machine: events in, batches out. No clock, no I/O, no
/// threads: times are arguments, so that the executor and the simulator drive the same code.

#include "sched/fleet.h"
#include "sched/ids.h"
#include "sched/page_move.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace neuros::sched {

struct SchedulerLimits {
  int32_t context = 0;       ///< positions of one sequence
  int32_t batch_tokens = 0;  ///< rows of one batch
  int32_t sequences = 0;     ///< processes of one batch
  int32_t logit_rows = 0;    ///< rows of one batch that may ask for logits
  int32_t pages = 0;         ///< KV pages on the device
  int32_t host_pages = 0;    ///< slots of the host tier; 0: what leaves the device is forgotten
  int32_t page_tokens = 0;
  int32_t queue = 0;  ///< waiting processes before arrivals are refused
  /// Whether a token has other bits as part of a prompt than as a decode step. A process whose
  /// pages are gone then computes what it had generated as it did before, a step for each token.
  bool decodes_differ = false;
  /// Who waited so long (in all) is rescued: it goes first. One at a time, one in each such time.
  int64_t wait_us_max = 10'000'000;
};

/// A new process. Its worst case (prompt + max_new_tokens) must fit the context.
struct Arrival {
  ProcessId id = 0;
  std::vector<TokenId> prompt;  ///< at least one token
  int32_t max_new_tokens = 0;
  Priority priority = Priority::kMedium;
  bool prompt_logits = false;  ///< logits at every prompt position (scoring); no prefix reuse
};

/// kTooLong: beyond the context, or more pages than there are in all.
enum class Admission { kQueued, kQueueFull, kTooLong };

/// KV pages a process needs at its longest. Its last new token is never computed, so it needs none.
int64_t pages_worst_case(int64_t prompt_tokens, int64_t max_new_tokens, int32_t page_tokens);

/// One process's part of a batch: its tokens at [first_position, first_position + tokens.size()).
/// Tokens and pages are the scheduler's own, and as they are here until the batch is done or
/// failed.
struct BatchItem {
  ProcessId id = 0;
  int32_t first_position = 0;
  std::span<const TokenId> tokens;
  std::span<const PageId> pages;  ///< page numbers by position / page_tokens, up to the last token
  bool logits_all = false;        ///< a logit row for each token
  bool logits_last = false;       ///< a logit row for the last token: a new token is wanted
  bool decodes = false;           ///< one token that was generated, not part of a prompt

  int32_t logit_rows() const {
    return logits_all ? static_cast<int32_t>(tokens.size()) : logits_last ? 1 : 0;
  }
};

struct Batch {
  std::vector<BatchItem> items;
  /// To be carried out in this order before anything of the batch is computed.
  std::vector<PageMove> moves{};
  int32_t tokens() const;
  bool only_decodes() const;
};

/// What the executor learned from a batch, one per item in order.
struct ItemResult {
  std::optional<TokenId> token;  ///< set where logits_last was asked for and the process goes on
  bool finished = false;         ///< the process ends here
};

struct ProcessInfo {
  int64_t arrived_us = 0;
  int64_t admitted_us = 0;    ///< when its pages were granted
  int32_t cached_tokens = 0;  ///< prompt tokens found in pages of earlier requests
  int32_t prompt_tokens = 0;
  int32_t generated_tokens = 0;
  bool rescued = false;  ///< it goes first because it waited for wait_us_max
};

struct SchedulerStats {
  int32_t waiting = 0, running = 0;
  int32_t pages_used = 0;    ///< held by processes
  int32_t pages_cached = 0;  ///< kept for prefix reuse only; free for the asking
  int32_t pages_free = 0;
  int32_t host_pages = 0;          ///< slots of the host tier, in all
  int32_t host_pages_used = 0;     ///< of them with content, all of it free for the asking
  uint64_t pages_swapped_out = 0;  ///< moves to the host tier, ever
  uint64_t pages_swapped_in = 0;   ///< moves back
  uint64_t tokens_reused = 0;      ///< prompt tokens that needed no prefill, ever
  uint64_t suspensions = 0;        ///< processes that gave up their pages and wait for new ones
};

/// Continuous batching with chunked prefill over paged KV, prefix reuse and three priorities.
/// Pages are granted as sequences grow; when none is left the youngest of the lowest priority gives
/// its pages up, so that a running process never fails for memory; and to a higher priority its
/// place. What leaves the device goes to
/// the host tier, if it has room, and comes back from there; the rest is computed again.
class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits);
  ~Scheduler();
  Scheduler(Scheduler&&) noexcept;

  Admission arrive(Arrival arrival, int64_t now_us);
  /// Frees pages at once unless the process is in the batch in flight; then when that is done.
  /// False if there is no such process.
  bool cancel(ProcessId id);

  /// The next batch, or nullopt if nothing can run. At most one batch is in flight. It has at most
  /// `rows_most` rows, or as many as can run where those are more.
  std::optional<Batch> next_batch(int64_t now_us, int32_t rows_most = INT32_MAX);
  /// Results of the batch in flight. Processes that ended (finished, cancelled, max_new_tokens) are
  /// forgotten; their full pages stay for prefix reuse until room is needed.
  void batch_done(std::span<const ItemResult> results, int64_t now_us);
  /// The batch in flight was not computed, or not to its end, or its moves failed: its processes
  /// end, and what it should have written or moved is not kept. Others that need what was to be
  /// moved compute it again.
  void batch_failed(int64_t now_us);

  std::optional<ProcessInfo> info(ProcessId id) const;
  SchedulerStats stats() const;
  /// Of all processes there are.
  Demand demand() const;
  /// Every internal invariant, as text of the first that does not hold; "" if all hold.
  std::string check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace neuros::sched
