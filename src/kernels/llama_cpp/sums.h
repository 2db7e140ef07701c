#pragma once

#include <cstdint>
#include <span>

namespace neuros::kernels::llama_cpp {

/// The part of sum(a[i] * b[i]) that fills whole blocks of 64: 64 lanes of fused sums, added up in
/// halves. What is left from `whole_blocks(size)` on, callers add in their own way.
float dot_blocks(std::span<const float> a, const float* b);
inline size_t whole_blocks(size_t size) {
  return size / 64 * 64;
}

/// sum(a[i] * b[i]) for a single token: blocks, then the rest product by product, each rounded.
float dot(std::span<const float> a, const float* b);

/// The same among several tokens: 16 lanes of fused sums. a.size() is a multiple of 16.
float dot_in_batch(std::span<const float> a, const float* b);

/// One row of rms_norm.
void rms_norm_row(std::span<const float> x, const float* weight, float epsilon, float* out);

}  // namespace neuros::kernels::llama_cpp
