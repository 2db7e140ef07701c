#pragma once

/// The fleet's scheduler, with a scheduler of processes for each model, against a fake device in
/// virtual time. Fleets, arrivals, costs and failures come from one seed, so that a run is repeated
/// by its number alone.

#include <cstdint>
#include <string>

namespace neuros::sched {

/// A bug planted between the scheduler and the device, to see that a rule notices it.
enum class FleetBug : uint8_t {
  kNone,
  kLoadBeforeDrop,    ///< moves out of order
  kSkippedDrop,       ///< a segment stays where the scheduler thinks it went
  kNeedlessDrop,      ///< one segment more than necessary goes
  kDropInUse,         ///< a segment of the run in flight goes
  kDropPinned,        ///< a pinned segment goes
  kDoubleLoad,        ///< a segment is loaded that is there
  kRunTooFar,         ///< a run goes on to a step whose weights are not there
  kFailureIsSuccess,  ///< a load that failed counts as done
  kDeafToCritical,    ///< a run does not stop for a critical process
  kForgottenModel,    ///< a model's work is not told
  kNoPriorities,      ///< every process counts as low
  kNoRescue,          ///< who waits for long is not helped
  kEarlyRescue,       ///< or helped before its time
  kSlowLoads,         ///< the first model's weights hardly come
  kNoDwell,           ///< memory changes hands without pause
};

struct FleetReport {
  std::string error;   ///< the first rule that was broken, with the time; "" if none was
  uint64_t trace = 0;  ///< hash of every decision
  uint64_t runs = 0, loads = 0, drops = 0, failed_loads = 0, suspensions = 0;
  uint64_t ended = 0, cancelled = 0, failed = 0;  ///< processes
  uint64_t streamed = 0;                          ///< fleets with a model larger than the memory
};

/// Runs one random fleet to the end of its work and checks at every event:
/// - frames are never over-committed; what is dropped was there, is neither pinned nor in use, and
///   without any one of the drops the load behind them would not have had room;
/// - a run's weights are there at each of its steps, and nothing is loaded of a model that is not
///   prepared yet;
/// - something always happens while there is work, every process ends or fails with its model, and
///   no model with work waits longer than the bound;
/// - one model at a time is rescued, after its wait and one in each wait_us_max;
/// - a run yields at the next step to a critical process whose weights are there, and nobody runs
///   while somebody of a higher class could;
/// - who wants to run loses memory only to who has the turn, which passes between models of one
///   class no sooner than dwell_us after its first run with all weights there, nor, where all have
///   room, before;
/// - the schedulers' own invariants.
FleetReport simulate_fleet(uint64_t seed, FleetBug bug = FleetBug::kNone);

}  // namespace neuros::sched
