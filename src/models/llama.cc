/// Llama 1, 2, 3.x, TinyLlama, Mistral, Nemo: pre-norm decoder, rotary positions, SwiGLU.

#include "models/decoder.h"
#include "models/family.h"

namespace neuros::models {

base::Result<plan::Program> make_llama(const formats::Checkpoint& checkpoint) {
  // GGUF converters permute the rows of Q and K so that rotated pairs are neighbours.
  const bool permuted = checkpoint.source == formats::Source::kGguf;
  return make_decoder(checkpoint, {.rope_style = permuted ? plan::RopeStyle::kInterleaved
                                                          : plan::RopeStyle::kHalves,
                                   .qkv_bias = Presence::kOptional,
                                   .qk_norm = Presence::kNever});
}

}  // namespace neuros::models
