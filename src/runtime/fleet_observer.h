#pragma once

#include "runtime/pager.h"

#include <cstdint>

namespace neuros::runtime {

/// Steps of a model's pass, as they were run.
struct RunReport {
  int32_t model = 0;
  int32_t first_step = 0, end_step = 0;
  int32_t steps = 0;                         ///< of a whole pass
  int64_t decode_rows = 0, prompt_rows = 0;  ///< of the pass
  int64_t begin_us = 0, end_us = 0;          ///< of now_us()
};

/// Hears what a fleet does, on its thread; calls must be short.
class FleetObserver {
 public:
  virtual ~FleetObserver() = default;
  virtual void on_run(const RunReport& run) = 0;
  virtual void on_transfer(const PagerReport& transfer) = 0;
};

}  // namespace neuros::runtime
