/// Qwen2 and Qwen2.5: a Llama decoder with biases on Q, K and V.

#include "models/decoder.h"
#include "models/family.h"

namespace neuros::models {

base::Result<plan::Program> make_qwen2(const formats::Checkpoint& checkpoint) {
  return make_decoder(checkpoint, {.rope_style = plan::RopeStyle::kHalves,
                                   .qkv_bias = Presence::kRequired,
                                   .qk_norm = Presence::kNever});
}

}  // namespace neuros::models
