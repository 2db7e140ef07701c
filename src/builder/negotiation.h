#pragma once

#include "base/result.h"
#include "builder/demand.h"

namespace neuros::builder {

/// Finds what every model is granted so that all of them fit the memory. They give up, in this
/// order and no more of it than needed:
///   1. room for keys and values, down to one full context each: throughput;
///   2. context, down to context_min, halved where that frees most, lowest priority first;
///   3. staying: weights share frames, first with those together that work at the same time, then
///      one model at a time, as long as that is quick enough: latency; 1 and 2 are asked for anew;
///   4. context, down to context_least;
///   5. precision, the groups of weights first that lose least: middle feed-forward layers before
///      attention, before the first layers, before table and head;
///   6. being whole: weights come and go within a pass.
/// Whatever fits again in the end is given back in the opposite order. Where even the least does
/// not fit: kOutOfMemory with the smallest set of demands that conflict (builder/conflict.h).
/// The same demands give the same agreement.
base::Result<Agreement> negotiate(const FleetDemand& fleet);

}  // namespace neuros::builder
