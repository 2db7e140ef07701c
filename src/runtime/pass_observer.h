#pragma once

#include "runtime/bound_program.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::runtime {

/// Where the time of one forward pass went. The parts are the device's, by its stopwatch.
struct PassTimes {
  int64_t started_us = 0, ended_us = 0;  ///< of now_us()
  int64_t decode_tokens = 0;             ///< rows of decode steps
  int64_t prompt_tokens = 0;             ///< and of prompts
  double staging_us = 0;                 ///< the batch, to the device
  std::span<const double> ops_us{};      ///< one for each op of the program, in order
  double top_logits_us = 0;              ///< the greatest logits
  double copies_us = 0;                  ///< rows of logits, to the host
};

/// Hears of passes, on the engine's thread. A pass that is watched is not replayed from a recording
/// and marks the ends of its ops, so it takes longer.
class PassObserver {
 public:
  virtual ~PassObserver() = default;
  virtual bool watches() const = 0;
  /// Of a pass that is watched: its `tokens` rows come to an op, by its place in the program. On a
  /// device whose memory is the host's, what the op reads is there and what it writes is not yet;
  /// on others the addresses are the device's, and ops before it may still run.
  virtual void before_op(size_t /*op*/, const BoundOp& /*bound*/, int64_t /*tokens*/) {}
  virtual void on_pass(const PassTimes& times) = 0;
};

}  // namespace neuros::runtime
