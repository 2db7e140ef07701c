#pragma once

#include "pipeline/sampling.h"

#include <optional>

namespace CLI {
class App;
}

namespace neuros::cli {

/// --temp, --top-k, --top-p, --min-p, --repeat-penalty, --presence-penalty, --frequency-penalty,
/// --seed; what is not given stays as the model's publisher recommends.
struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, repetition, presence, frequency;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;

  void declare(CLI::App& app);
  pipeline::SamplingParams over(pipeline::SamplingParams defaults) const;
};

}  // namespace neuros::cli
