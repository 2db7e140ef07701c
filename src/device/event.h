#pragma once

#include "base/result.h"

namespace neuros::device {

/// A point in a stream's work. This one is of a stream that has done everything when a call
/// returns.
class Event {
 public:
  virtual ~Event() = default;
  /// The point is now: behind all that the stream was given so far.
  virtual void record() {}
  /// Returns when the work before the point is done; at once if there is none yet. Errors of that
  /// work show at the stream's synchronize().
  virtual base::Result<> wait() { return {}; }
};

}  // namespace neuros::device
