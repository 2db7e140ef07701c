#pragma once

/// Bytes of device memory that grants take.

#include "builder/demand.h"

#include <cstdint>
#include <span>
#include <vector>

namespace neuros::builder {

/// Everything granted.
ModelGrant wish_of(const ModelDemand& model);
/// The least that will do.
ModelGrant floor_of(const ModelDemand& model);

/// Bytes of each segment with the types granted, multiples of plan::kSegmentAlignment.
std::vector<int64_t> segment_bytes(const ModelDemand& model, const ModelGrant& grant);
/// Frames of a model's weights when all of them are there.
int64_t weight_frames(const ModelDemand& model, const ModelGrant& grant, int64_t frame_bytes);
/// Besides the weights: of one model, and of all together, one grant for each.
WorkBytes work_bytes(const ModelDemand& model, const ModelGrant& grant);
int64_t work_bytes(const FleetDemand& fleet, std::span<const ModelGrant> grants);

/// What all models need together at least; one grant for each.
int64_t footprint(const FleetDemand& fleet, std::span<const ModelGrant> grants,
                  plan::Residency residency);

/// How long the weights of a model that is not pinned take to come, of the one that takes longest;
/// 0: unknown.
int64_t onload_us(const FleetDemand& fleet, std::span<const ModelGrant> grants);

}  // namespace neuros::builder
