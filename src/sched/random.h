#pragma once

#include <cstdint>
#include <random>

namespace neuros::sched {

/// What the simulators draw from; the same numbers for a seed on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int32_t between(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool one_in(int32_t n) { return between(1, n) == 1; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace neuros::sched
