#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"

#include <cstdint>
#include <string>

namespace neuros::models {

/// A decoder's numbers, read from metadata and checked against each other and against sane limits.
struct DecoderSizes {
  int64_t hidden = 0, feed_forward = 0, vocabulary = 0, context = 0;
  int32_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0, rope_dims = 0;
  int32_t window = 0;  ///< sliding window, 0: none
  float epsilon = 1e-5f;
};

/// `prefix` is the architecture's name, in front of its keys.
base::Result<DecoderSizes> read_decoder_sizes(const formats::Checkpoint& checkpoint,
                                              const std::string& prefix);

}  // namespace neuros::models
