#pragma once

#include "base/result.h"
#include "pipeline/benchmark.h"
#include "plan/plan.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::cli {

/// What the machine could do at best with a model, measured in this process.
struct Roofs {
  pipeline::TokenCost cost;
  double bytes_per_s = 0;       ///< decode reads a token's weights and KV at this rate
  double operations_per_s = 0;  ///< prefill multiplies at this rate
  std::string text;             ///< both, and what else was measured, for people

  double decode_tokens_per_s() const { return bytes_per_s / cost.decode_bytes; }
  double prefill_tokens_per_s() const { return operations_per_s / cost.prefill_flops; }
};

/// Measures the device of the plan.
base::Result<Roofs> measure_roofs(const plan::Plan& plan,
                                  const pipeline::BenchmarkRequest& request);

}  // namespace neuros::cli
