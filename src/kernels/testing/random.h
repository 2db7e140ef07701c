#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace neuros::kernels::testing {

/// Random numbers from a seed drawn anew for each object, or from NEUROS_SEED if that is set.
/// Put SCOPED_TRACE(random.trace()) behind it, so that a failure names the seed.
class Random {
 public:
  Random();

  std::string trace() const;
  /// In [low, high].
  int64_t between(int64_t low, int64_t high);
  bool coin() { return between(0, 1) == 1; }
  float normal(float sigma);
  uint32_t bits() { return engine_(); }

 private:
  uint32_t seed_;
  std::mt19937 engine_;
};

}  // namespace neuros::kernels::testing
