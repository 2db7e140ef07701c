#pragma once

/// The scheduler against a fake executor in virtual time. Limits, arrivals, cancellations and costs
/// come from one seed, so that a failure is repeated by its number alone.

#include <cstdint>
#include <string>

namespace neuros::sched {

struct SimulationReport {
  std::string error;  ///< the first rule that was broken, with the time; "" if none was
  uint64_t batches = 0;
  uint64_t ended = 0, cancelled = 0, refused = 0;  ///< processes
  uint64_t suspensions = 0, tokens_reused = 0;
  uint64_t overtaken = 0;  ///< processes admitted after a younger one of higher priority
};

/// Runs one random workload to its end and checks after every event:
/// - the scheduler's own invariants and every limit of a batch;
/// - that the pages of each item hold exactly the process's tokens: the fake executor writes into
///   each place of a page a hash of all tokens up to there, and compares;
/// - that each process is asked for each new token once, at the right position, and gets each
///   prompt logit once, in order; the next token is a hash of all tokens before it;
/// - that places are given in order, and to nobody before an overdue older process;
/// - that all processes end within a bound, and that then no page is held.
SimulationReport simulate(uint64_t seed);

}  // namespace neuros::sched
