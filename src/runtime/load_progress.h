#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <string_view>

namespace neuros::runtime {

/// How far the loading of weights is.
struct LoadProgress {
  std::string_view stage;  ///< "packing", "reading", "caching"
  int64_t done_bytes = 0, total_bytes = 0;
};
/// Called on the thread that loads, often; may be empty. Its error ends the loading, with
/// kCancelled as soon as whoever asked for the weights needs them no more.
using OnLoadProgress = std::function<base::Result<>(const LoadProgress&)>;

}  // namespace neuros::runtime
