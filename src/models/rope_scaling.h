#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::models {

struct RopeFrequencies {
  std::vector<float> inverse;  ///< [dims/2], per position
  float magnitude = 1.0f;
};

/// Rotary frequencies base^(-2i/dims) with the checkpoint's context scaling in them: none, linear
/// (positions divided by a factor), llama3 (by wavelength; as parameters, or as the divisors of the
/// tensor rope_freqs.weight), YaRN (https://arxiv.org/abs/2309.00071).
base::Result<RopeFrequencies> read_rope(const formats::Checkpoint& checkpoint,
                                        const std::string& prefix, int32_t dims);

/// The llama3 scaling of a checkpoint that states it as parameters, as GGUF files state it: what
/// each of the dims/2 frequencies is divided by. Empty if the scaling is not llama3.
base::Result<std::vector<float>> read_llama3_divisors(const formats::Checkpoint& checkpoint,
                                                      const std::string& prefix, int32_t dims);

}  // namespace neuros::models
