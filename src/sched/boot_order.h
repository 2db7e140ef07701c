#pragma once

/// Which model of a fleet is prepared next: its weights packed or read, its kernels loaded. A
/// deterministic state machine like Scheduler; one model at a time is prepared, each once.

#include "sched/fleet.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::sched {

enum class BootState : uint8_t { kWaiting, kPreparing, kReady, kFailed };

/// Models that somebody waits for come first, by the priority of who waits, then by how long they
/// have been waited for; then those that a stage is about to use; then the others. Ties go by the
/// order that was given.
class BootOrder {
 public:
  /// `order` has each of [0, order.size()) once.
  explicit BootOrder(const std::vector<ModelId>& order);

  // Events.
  void set_demand(ModelId model, const Demand& demand);
  /// A stage that uses the model is about to start, or is no more.
  void expect(ModelId model, bool expected);
  /// The model being prepared is ready, or failed.
  void finished(ModelId model, bool ready);

  /// The model to prepare now, kPreparing from here on; nullopt: one is being prepared, or none is
  /// left.
  std::optional<ModelId> next();

  BootState state(ModelId model) const { return at(model).state; }
  int32_t count(BootState state) const;
  /// Every model is ready or failed.
  bool over() const;
  std::string check_invariants() const;

 private:
  struct Model {
    BootState state = BootState::kWaiting;
    size_t place = 0;  ///< in the order that was given
    Demand demand;
    uint64_t demanded_as = 0;  ///< by a counter: who came first
    bool expected = false;
  };
  Model& at(ModelId model) { return models_.at(static_cast<size_t>(model)); }
  const Model& at(ModelId model) const { return models_.at(static_cast<size_t>(model)); }
  static bool comes_before(const Model& a, const Model& b);

  std::vector<Model> models_;
  uint64_t demands_ = 0;
};

}  // namespace neuros::sched
