#pragma once

/// The scheduler against a fake executor in virtual time. Limits, arrivals, cancellations and costs
/// come from one seed, so that a failure is repeated by its number alone.

#include <cstdint>
#include <string>

namespace neuros::sched {

/// A bug planted between the scheduler and the executor, to see that a rule notices it.
enum class SimulationBug : uint8_t {
  kNone,
  kHostTierTooLarge,  ///< the scheduler is told of more slots than there are
  kForgetfulTier,     ///< and of none, so that what could be kept is not
  kSkippedOut,        ///< a page stays where the scheduler thinks it went
  kSkippedIn,         ///< or does not come
  kInsFirst,          ///< pages come before others have left
  kMovesReversed,
  kMovesTooLate,       ///< behind the batch's own writes
  kWrongSlot,          ///< comes from a slot beside its own
  kSharedSlot,         ///< two pages go to one slot
  kTornMove,           ///< a page comes without its last token
  kAllIsPrompt,        ///< what was generated is computed again as part of the prompt
  kFailureIsSuccess,   ///< a batch that failed counts as done
  kNoPriorities,       ///< every process counts as low
  kTwistedPriorities,  ///< or low as critical and critical as low
  kNoRescue,           ///< who waits for long is not helped
  kEarlyRescue,        ///< or helped before its time
};

struct SimulationReport {
  std::string error;  ///< the first rule that was broken, with the time; "" if none was
  uint64_t batches = 0;
  uint64_t ended = 0, cancelled = 0, refused = 0;  ///< processes
  uint64_t failed = 0;                             ///< processes whose batch failed
  uint64_t suspensions = 0, tokens_reused = 0;
  uint64_t swapped_out = 0, swapped_in = 0;  ///< pages
  uint64_t roomy = 0;      ///< 1: the host tier was never full, and nothing was computed twice
  uint64_t overtaken = 0;  ///< processes admitted after a younger one of higher priority
};

/// Runs one random workload to its end and checks after every event:
/// - the scheduler's own invariants and every limit of a batch;
/// - that the pages of each item hold exactly the process's tokens: the fake executor writes into
///   each place of a page a hash of all tokens up to there, and compares; it carries out what moves
///   between pages and slots of the host tier, of which there are never more than the limit;
/// - that as long as the host tier was never full, nothing is computed that was computed before;
/// - that what was generated is not computed again as part of a prompt, where that would differ;
/// - that after a batch that failed halfway nothing of it is used;
/// - that each process is asked for each new token once, at the right position, and gets each
///   prompt logit once, in order; the next token is a hash of all tokens before it;
/// - that places are given in order, and that nobody waits while only lower priorities run;
/// - that one process at a time is rescued, after its wait and one in each wait_us_max, as long as
///   one is overdue, and that only critical ones pass it, for so long at most;
/// - that all processes end within a bound, and that then no page is held.
SimulationReport simulate(uint64_t seed, SimulationBug bug = SimulationBug::kNone);

}  // namespace neuros::sched
