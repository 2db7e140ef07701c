#pragma once

/// The models of one device: booted together, run by one thread, their weights paged where the
/// device does not hold them all.

#include "base/result.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "plan/plan.h"
#include "runtime/engine.h"
#include "runtime/fleet_thread.h"
#include "runtime/segment_source.h"
#include "sched/boot_mode.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::runtime {

struct FleetMember {
  plan::Plan plan;
  std::shared_ptr<const formats::Checkpoint> checkpoint = nullptr;  ///< let go of once it is ready
  /// Weights that are packed already, in place of a checkpoint.
  std::shared_ptr<const PackedWeightsFile> packed = nullptr;
  std::optional<base::Error> broken{};    ///< in place of both: what is known to be wrong with them
  WeightTier home = WeightTier::kPinned;  ///< of weights that are paged
  bool stays = false;                     ///< its weights never leave the device
  int32_t queue_max = 256;
  PassObserver* observer = nullptr;  ///< outlives the fleet; null: nobody listens
};

struct FleetOptions {
  /// Memory for the weights of all; plans were made with segments that begin with frames. No
  /// frames: all weights stay on the device, each model's in an arena of its own.
  device::FramePoolOptions weights;
  int64_t dwell_us = 200'000;  ///< as in sched::FleetFacts
  int64_t wait_us_max = 10'000'000;
  std::string folder;                 ///< of packed weights whose home is the disk
  FleetObserver* observer = nullptr;  ///< outlives the fleet; null: nobody listens
  LoadOptions load;
  sched::BootMode boot = sched::BootMode::kEager;
  std::vector<int32_t>
      order;  ///< in which models are prepared, each once; empty: as they are given
  OnModelBoot on_model_boot;
};

class Fleet {
 public:
  /// Reserves exactly what the plans say, then prepares the weights of every model and warms it up,
  /// and starts the thread; on demand it does so with the first that can be prepared, and the
  /// others follow behind the thread. A model that fails leaves the others alone: requests to it
  /// end with its error. Fails where the machine is not what the plans are for, and where
  /// no model at all can be prepared. The device outlives the fleet.
  static base::Result<std::unique_ptr<Fleet>> boot(std::vector<FleetMember> members,
                                                   device::Device& device, FleetOptions options);
  virtual ~Fleet() = default;

  virtual size_t size() const = 0;
  /// One of the models, in the order of boot().
  virtual Engine& engine(size_t model) = 0;
  /// Whether a stage that uses the model is about to start: its weights then come early, into
  /// memory that nobody works in.
  virtual void expect(size_t model, bool expected) = 0;
  virtual FleetSnapshot snapshot() const = 0;
};

}  // namespace neuros::runtime
