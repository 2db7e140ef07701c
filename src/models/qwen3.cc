/// Qwen3 (dense): no biases, RMS norm on every head of Q and K before the rotation.

#include "models/decoder.h"
#include "models/family.h"

namespace neuros::models {

base::Result<plan::Program> make_qwen3(const formats::Checkpoint& checkpoint) {
  return make_decoder(checkpoint, {.rope_style = plan::RopeStyle::kHalves,
                                   .qkv_bias = Presence::kOptional,
                                   .qk_norm = Presence::kRequired});
}

}  // namespace neuros::models
