#include "runtime/kept_weights.h"

#include "runtime/weight_cache.h"
#include "runtime/weight_key.h"

#include <utility>

namespace neuros::runtime {

base::Result<KeptWeights> KeptWeights::find(const plan::Plan& plan,
                                            const formats::Checkpoint& checkpoint,
                                            const kernels::OpTable& ops,
                                            const std::string& folder) {
  const uint64_t key = TRY(weight_key(plan, checkpoint, ops));
  return KeptWeights{{key, checkpoint.path + " for " + ops.name},
                     WeightCache(folder).path_of(checkpoint.path, key)};
}

base::Result<PackedWeightsFile> KeptWeights::open(const plan::Plan& plan) const {
  PackedWeightsFile file = TRY(PackedWeightsFile::open(path));
  if (file.header().key != label.key) return base::fail(path + ": another key");
  TRY(check_segments(file, plan));
  return file;
}

}  // namespace neuros::runtime
