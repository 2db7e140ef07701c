#include "kernels/testing/random.h"

#include <cstdlib>

namespace neuros::kernels::testing {
namespace {

uint32_t draw_seed() {
  const char* given = std::getenv("NEUROS_SEED");
  if (given != nullptr) return static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
  return std::random_device{}();
}

}  // namespace

Random::Random() : seed_(draw_seed()), engine_(seed_) {}

std::string Random::trace() const {
  return "repeat with NEUROS_SEED=" + std::to_string(seed_);
}

int64_t Random::between(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(engine_);
}

float Random::normal(float sigma) {
  return std::normal_distribution<float>(0.0f, sigma)(engine_);
}

}  // namespace neuros::kernels::testing
