#pragma once

#include "base/dtype.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::builder {

/// A fast generator of random words (splitmix64, https://prng.di.unimi.it/splitmix64.c).
class RandomWords {
 public:
  explicit RandomWords(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t word = (state_ += 0x9e3779b97f4a7c15u);
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
  }

 private:
  uint64_t state_;
};

/// Fills whole blocks of `dtype` with random codes and scales such that the values have mean 0 and
/// about the given standard deviation.
void fill_random_blocks(base::DType dtype, float deviation, RandomWords& random,
                        std::span<std::byte> blocks);

}  // namespace neuros::builder
