#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace neuros::runtime {

/// How far the loading of weights is.
struct LoadProgress {
  std::string_view stage;  ///< "packing", "reading", "caching"
  int64_t done_bytes = 0, total_bytes = 0;
};
/// Called on the thread that boots, often; may be empty.
using OnLoadProgress = std::function<void(const LoadProgress&)>;

}  // namespace neuros::runtime
