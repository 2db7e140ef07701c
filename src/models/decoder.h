#pragma once

/// The decoder that the Llama line shares: RMS norm, grouped-query attention with rotary positions,
/// SwiGLU, residuals. Families differ by data only.

#include "base/result.h"
#include "formats/checkpoint.h"
#include "plan/program.h"

namespace neuros::models {

enum class Presence { kNever, kOptional, kRequired };

struct DecoderTraits {
  plan::RopeStyle rope_style = plan::RopeStyle::kHalves;
  Presence qkv_bias = Presence::kOptional;
  Presence qk_norm = Presence::kNever;
};

base::Result<plan::Program> make_decoder(const formats::Checkpoint& checkpoint,
                                         const DecoderTraits& traits);

}  // namespace neuros::models
