#pragma once

#include <cstdint>
#include <span>

namespace neuros::builder {

/// Published dimensions of a model that can be synthesised.
struct SynthShape {
  const char* name;
  const char* architecture;
  int64_t hidden, feed_forward, vocabulary;
  int32_t layers, heads, kv_heads, head_dim;
  int64_t context;
  double rope_base;
  bool tied_head, qkv_bias, qk_norm;
};

std::span<const SynthShape> synth_shapes();

}  // namespace neuros::builder
