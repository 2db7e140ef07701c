#pragma once

#include "sched/fleet.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::sched {

/// The ledger of device memory that holds weights. A segment is
///   absent:   it has no frames;
///   loading:  it has frames and its content is on the way;
///   resident: its content is there; passes in flight may hold it.
/// Segments change only through these calls; a wrong one is a CHECK.
class Residency {
 public:
  enum class State : uint8_t { kAbsent, kLoading, kResident };

  /// `facts` outlives the ledger.
  explicit Residency(const FleetFacts& facts);

  State state(SegmentId id) const { return at(id).state; }
  bool resident(SegmentId id) const { return at(id).state == State::kResident; }
  bool evictable(SegmentId id) const;
  int32_t free_frames() const { return free_; }
  int32_t loading() const { return loading_; }
  /// Frames that the absent segments of a model need.
  int32_t missing_frames(ModelId model) const { return missing_.at(static_cast<size_t>(model)); }
  /// Frames that a model has, what is loading included.
  int32_t frames_of(ModelId model) const;
  /// Whether all segments that the step reads are resident.
  bool ready(ModelId model, int32_t step) const;

  void begin_load(SegmentId id);  ///< absent -> loading
  void loaded(SegmentId id);      ///< loading -> resident
  void failed(SegmentId id);      ///< loading -> absent
  void evict(SegmentId id);       ///< resident -> absent; neither held nor pinned
  void hold(SegmentId id);
  void release(SegmentId id);

  std::string check_invariants() const;

 private:
  struct Segment {
    State state = State::kAbsent;
    int32_t holders = 0;
  };
  const Segment& at(SegmentId id) const {
    return segments_.at(static_cast<size_t>(id.model)).at(static_cast<size_t>(id.segment));
  }
  Segment& at(SegmentId id) {
    return segments_.at(static_cast<size_t>(id.model)).at(static_cast<size_t>(id.segment));
  }
  void give_back(SegmentId id);

  const FleetFacts& facts_;
  std::vector<std::vector<Segment>> segments_;  ///< [model][segment]
  std::vector<int32_t> missing_;                ///< frames of absent segments, by model
  int32_t free_;
  int32_t loading_ = 0;
};

}  // namespace neuros::sched
