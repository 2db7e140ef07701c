#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace neuros::runtime {

/// $XDG_CACHE_HOME/neuros/weights, else $HOME/.cache/neuros/weights; "" where neither is set.
std::string default_weight_cache();

/// A folder of packed weights that keeps within its share of the disk.
class WeightCache {
 public:
  explicit WeightCache(std::string folder) : folder_(std::move(folder)) {}

  /// Where weights of this key are, or would be.
  std::string path_of(const std::string& model, uint64_t key) const;
  /// Makes the folder, and room in it for `bytes`, by removing files used longest ago. Fails where
  /// they exceed a quarter of what would be free on the disk without the cache.
  base::Result<> make_room(uint64_t bytes) const;
  /// Counts as use of a file.
  static void touch(const std::string& path);

 private:
  std::string folder_;
};

}  // namespace neuros::runtime
