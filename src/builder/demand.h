#pragma once

/// What models ask of the memory that they share, and what they are granted of it.

#include "builder/work_bytes.h"
#include "plan/fleet_plan.h"
#include "sched/ids.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace neuros::builder {

/// Weights that change their type together: the matrices of one layer's attention or feed-forward,
/// the embedding table, the head.
struct WeightGroup {
  std::string name;              ///< "blk.12.ffn"
  int32_t segment = 0;           ///< they lie in
  std::vector<int64_t> bytes{};  ///< packed, at each level of the model's precision
  /// What the types of a level lose: squared error over squared values, ascending.
  std::vector<double> error{};
  double care =
      1;  ///< how much more an error harms here than in the feed-forward of a middle layer
};

struct ModelDemand {
  std::string id;
  sched::Priority priority = sched::Priority::kMedium;
  bool pin = false;  ///< weights never leave the device
  /// Tokens: wanted; down to which it may be shortened so that weights stay; and the least that
  /// will do before precision is given up.
  int32_t context = 0, context_min = 0, context_least = 0;
  int32_t full_contexts = 1;             ///< wanted room for keys and values
  double onload_bytes_per_s = 0;         ///< how fast its weights come to the device; 0: unknown
  int64_t scratch_bytes = 0;             ///< on top of what the program needs
  std::vector<std::string> levels{};     ///< of precision, best first; at least one
  std::vector<WeightGroup> groups{};     ///< what may change; [bytes and error of each level]
  std::vector<int64_t> segment_bytes{};  ///< of each segment, what never changes
  std::vector<std::vector<int32_t>> steps{};  ///< of a pass: the segments that each reads
  /// KV pages, activations and scratch of the program for so many full contexts of that length.
  std::function<WorkBytes(int32_t context, int32_t full_contexts)> work_bytes{};
};

struct FleetDemand {
  std::vector<ModelDemand> models{};
  int64_t memory_bytes = 0;
  int64_t frame_bytes = 0;  ///< what segments of paged weights begin with
  /// Models, by index, that a request wants to run at the same time.
  std::vector<std::vector<int32_t>> together{};
  int64_t onload_us_max = 0;  ///< the longest that a request may wait for weights; 0: not asked
};

struct ModelGrant {
  int32_t context = 0;
  int32_t full_contexts = 1;
  std::vector<int32_t> levels{};  ///< of each group
};

struct Agreement {
  plan::Residency residency = plan::Residency::kAllStay;
  std::vector<ModelGrant> models{};
  std::vector<std::string> reasons{};  ///< every concession and why it was made
};

}  // namespace neuros::builder
