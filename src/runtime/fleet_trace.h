#pragma once

#include "base/result.h"
#include "formats/trace_events.h"
#include "plan/fleet_plan.h"
#include "runtime/fleet_observer.h"

#include <memory>
#include <string>
#include <vector>

namespace neuros::runtime {

/// What a fleet does, as a picture: a track for the passes of each model, one for its weights on
/// their way (formats/trace_events.h).
class FleetTrace final : public FleetObserver {
 public:
  static base::Result<std::unique_ptr<FleetTrace>> create(const std::string& path,
                                                          const plan::FleetPlan& fleet);
  void on_run(const RunReport& run) override;
  void on_transfer(const PagerReport& transfer) override;
  /// What is in the file, or the first error of writing it. Nothing is added after it.
  base::Result<> close() { return events_.close(); }

 private:
  explicit FleetTrace(formats::TraceEvents events) : events_(std::move(events)) {}

  formats::TraceEvents events_;
  std::vector<std::vector<std::string>> segments_;  ///< names, by model
};

}  // namespace neuros::runtime
