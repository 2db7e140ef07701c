#include "sched/residency.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::sched {

std::string check_feasible(const FleetFacts& facts) {
  int32_t pinned = 0;
  for (const ModelFacts& model : facts.models) {
    for (const SegmentFacts& segment : model.segments) {
      if (segment.frames < 1) return "a segment has no frames";
      pinned += segment.pinned ? segment.frames : 0;
    }
  }
  if (pinned > facts.frames) {
    return "pinned weights need " + std::to_string(pinned) + " frames of " +
           std::to_string(facts.frames);
  }
  for (size_t m = 0; m < facts.models.size(); ++m) {
    const ModelFacts& model = facts.models[m];
    if (model.steps.empty()) return "model " + std::to_string(m) + " has no steps";
    for (size_t step = 0; step < model.steps.size(); ++step) {
      int32_t frames = pinned;
      for (const int32_t index : model.steps[step]) {
        if (index < 0 || static_cast<size_t>(index) >= model.segments.size()) {
          return "model " + std::to_string(m) + ": step " + std::to_string(step) +
                 " reads segment " + std::to_string(index);
        }
        const SegmentFacts& segment = model.segments[static_cast<size_t>(index)];
        frames += segment.pinned ? 0 : segment.frames;
      }
      if (frames > facts.frames) {
        return "model " + std::to_string(m) + ": step " + std::to_string(step) + " needs " +
               std::to_string(frames) + " frames with what is pinned, of " +
               std::to_string(facts.frames);
      }
    }
  }
  return "";
}

Residency::Residency(const FleetFacts& facts) : facts_(facts), free_(facts.frames) {
  for (const ModelFacts& model : facts.models) {
    segments_.emplace_back(model.segments.size());
    missing_.push_back(0);
    for (const SegmentFacts& segment : model.segments) missing_.back() += segment.frames;
  }
}

bool Residency::evictable(SegmentId id) const {
  const Segment& segment = at(id);
  return segment.state == State::kResident && segment.holders == 0 && !facts_.segment(id).pinned;
}

int32_t Residency::frames_of(ModelId model) const {
  int32_t frames = 0;
  const std::vector<Segment>& segments = segments_.at(static_cast<size_t>(model));
  for (int32_t i = 0; i < std::ssize(segments); ++i) {
    const bool has_frames = segments[static_cast<size_t>(i)].state != State::kAbsent;
    if (has_frames) frames += facts_.segment({model, i}).frames;
  }
  return frames;
}

bool Residency::ready(ModelId model, int32_t step) const {
  const auto& reads =
      facts_.models.at(static_cast<size_t>(model)).steps.at(static_cast<size_t>(step));
  return std::ranges::all_of(reads, [&](int32_t index) { return resident({model, index}); });
}

void Residency::begin_load(SegmentId id) {
  const int32_t frames = facts_.segment(id).frames;
  CHECK(at(id).state == State::kAbsent && frames <= free_);
  free_ -= frames;
  missing_[static_cast<size_t>(id.model)] -= frames;
  ++loading_;
  at(id).state = State::kLoading;
}

void Residency::loaded(SegmentId id) {
  CHECK(at(id).state == State::kLoading);
  --loading_;
  at(id).state = State::kResident;
}

void Residency::failed(SegmentId id) {
  CHECK(at(id).state == State::kLoading);
  --loading_;
  give_back(id);
}

void Residency::evict(SegmentId id) {
  CHECK(evictable(id));
  give_back(id);
}

void Residency::give_back(SegmentId id) {
  free_ += facts_.segment(id).frames;
  missing_[static_cast<size_t>(id.model)] += facts_.segment(id).frames;
  at(id).state = State::kAbsent;
}

void Residency::hold(SegmentId id) {
  CHECK(at(id).state == State::kResident);
  ++at(id).holders;
}

void Residency::release(SegmentId id) {
  CHECK(at(id).holders > 0);
  --at(id).holders;
}

std::string Residency::check_invariants() const {
  int32_t used = 0, loading = 0;
  for (size_t m = 0; m < segments_.size(); ++m) {
    int32_t missing = 0;
    for (size_t s = 0; s < segments_[m].size(); ++s) {
      const Segment& segment = segments_[m][s];
      if (segment.holders > 0 && segment.state != State::kResident) return "held and not resident";
      missing += segment.state == State::kAbsent ? facts_.models[m].segments[s].frames : 0;
      if (segment.state == State::kAbsent) continue;
      used += facts_.models[m].segments[s].frames;
      loading += segment.state == State::kLoading ? 1 : 0;
    }
    if (missing != missing_[m]) return "the count of missing frames is wrong";
  }
  if (used + free_ != facts_.frames) return "frames are lost";
  if (free_ < 0) return "more frames than there are";
  return loading == loading_ ? "" : "the number of loads is wrong";
}

}  // namespace neuros::sched
