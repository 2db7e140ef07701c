#pragma once

#include <cstdint>

namespace neuros::builder {

/// Device memory of a model besides its weights.
struct WorkBytes {
  int64_t own = 0;     ///< KV pages, and what stays from one step of a pass to the next
  int64_t shared = 0;  ///< what a step leaves to nobody: of all models of a device the most
};

}  // namespace neuros::builder
