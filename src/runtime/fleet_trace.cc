#include "runtime/fleet_trace.h"

#include <array>
#include <chrono>
#include <utility>

namespace neuros::runtime {
namespace {

int32_t passes_of(int32_t model) {
  return 2 * model + 1;
}

int32_t weights_of(int32_t model) {
  return 2 * model + 2;
}

int64_t microseconds(PagerReport::Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::string name_of(const RunReport& run) {
  std::string name = run.prompt_rows == 0 ? "decode" : "prompt";
  if (run.end_step - run.first_step == run.steps) return name;
  return name + " " + std::to_string(run.first_step) + "-" + std::to_string(run.end_step) + " of " +
         std::to_string(run.steps);
}

}  // namespace

base::Result<std::unique_ptr<FleetTrace>> FleetTrace::create(const std::string& path,
                                                             const plan::FleetPlan& fleet) {
  std::unique_ptr<FleetTrace> trace(new FleetTrace(TRY(formats::TraceEvents::create(path))));
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    const std::string& id = fleet.allocations[i].id;
    trace->events_.name_track(passes_of(static_cast<int32_t>(i)), id);
    trace->events_.name_track(weights_of(static_cast<int32_t>(i)), id + " weights");
    std::vector<std::string>& names = trace->segments_.emplace_back();
    for (const plan::SegmentPlacement& segment : fleet.models[i].segments) {
      names.push_back(segment.name);
    }
  }
  return trace;
}

void FleetTrace::on_run(const RunReport& run) {
  const std::array<formats::TraceEvents::Number, 2> rows{
      {{"decode_rows", run.decode_rows}, {"prompt_rows", run.prompt_rows}}};
  events_.add(passes_of(run.model), name_of(run), run.begin_us, run.end_us - run.begin_us, rows);
}

void FleetTrace::on_transfer(const PagerReport& transfer) {
  const bool loads = transfer.job == PagerJob::kLoad;
  const auto model = static_cast<size_t>(transfer.model);
  const std::string name = std::string(loads ? "load " : "drop ") +
                           segments_.at(model).at(static_cast<size_t>(transfer.segment)) +
                           (transfer.result ? "" : " failed");
  const std::array<formats::TraceEvents::Number, 3> numbers{
      {{"bytes", transfer.bytes}, {"map_us", transfer.map_us}, {"copy_us", transfer.copy_us}}};
  const int64_t begin = microseconds(transfer.begin);
  events_.add(weights_of(transfer.model), name, begin, microseconds(transfer.end) - begin, numbers);
}

}  // namespace neuros::runtime
