#include "serve/fleet_backend.h"

#include "serve/language_model_backend.h"

namespace neuros::serve {
namespace {

using State = sched::Residency::State;

char letter(State state) {
  return state == State::kResident ? 'r' : state == State::kLoading ? 'l' : '-';
}

FleetResidency::Model describe(const pipeline::LanguageModel& model,
                               const runtime::ModelResidency& residency) {
  FleetResidency::Model described{
      .id = model.id(), .segments = "", .resident_bytes = 0, .swap_us = residency.swap_us};
  for (size_t i = 0; i < residency.segments.size(); ++i) {
    described.segments += letter(residency.segments[i]);
    if (residency.segments[i] == State::kResident) {
      described.resident_bytes += model.plan().segments[i].bytes;
    }
  }
  return described;
}

std::vector<FleetResidency::Transfer> transfers(const runtime::PagerStats& stats) {
  using runtime::PagerJob;
  using runtime::WeightTier;
  std::vector<FleetResidency::Transfer> list;
  for (const PagerJob job : {PagerJob::kLoad, PagerJob::kDrop}) {
    for (const WeightTier tier : {WeightTier::kPinned, WeightTier::kPageable, WeightTier::kDisk}) {
      const runtime::PagerTraffic& traffic = stats.of(job, tier);
      if (traffic.jobs + traffic.failures == 0) continue;
      list.push_back({.job = job == PagerJob::kLoad ? "load" : "drop",
                      .tier = std::string(plan::name(tier)),
                      .count = traffic.jobs,
                      .failures = traffic.failures,
                      .bytes = traffic.bytes,
                      .map_us = traffic.map_us,
                      .copy_us = traffic.copy_us});
    }
  }
  return list;
}

}  // namespace

FleetBackend::FleetBackend(pipeline::ModelFleet& fleet) : fleet_(fleet) {
  for (const auto& model : fleet.models()) models_.push_back(serve_language_model(*model));
}

std::optional<FleetResidency> FleetBackend::residency() const {
  if (!fleet_.plan().pages()) return std::nullopt;
  const runtime::FleetSnapshot snapshot = fleet_.fleet().snapshot();
  FleetResidency residency{.frame_bytes = fleet_.plan().frame_bytes,
                           .frames = snapshot.frames,
                           .frames_free = snapshot.free_frames,
                           .turn = "",
                           .turns = snapshot.stats.turns,
                           .passes_suspended = snapshot.stats.suspensions,
                           .transfers = transfers(snapshot.pager)};
  for (size_t i = 0; i < fleet_.models().size(); ++i) {
    const size_t planned = fleet_.planned_as(i);
    residency.models.push_back(describe(*fleet_.models()[i], snapshot.models[planned]));
    const bool has_turn = snapshot.turn >= 0 && planned == static_cast<size_t>(snapshot.turn);
    if (has_turn && residency.turn.empty()) residency.turn = residency.models.back().id;
  }
  return residency;
}

}  // namespace neuros::serve
