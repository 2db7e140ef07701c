#pragma once

#include "base/thread_pool.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/linear.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cpu {

/// Activations of one kind, ready for an engine's kernels. Non-owning.
struct Activations {
  ActivationKind kind = ActivationKind::kF32;
  TokenGroups groups;
  int64_t token_bytes = 0;
  const std::byte* data = nullptr;

  /// The group that starts at `token`.
  const std::byte* group(int64_t token) const { return data + token * token_bytes; }
};

/// Brings activations into scratch memory: rows of the source, normalised where it says so, in
/// groups. At most two kinds at a time.
class Preparer {
 public:
  Preparer(const EngineTable& engine, base::ThreadPool& pool, const ActivationSource& source,
           std::span<std::byte> scratch);

  /// The next kind of activations, grouped as the engine likes it or as told.
  Activations prepare(ActivationKind kind);
  Activations prepare(ActivationKind kind, const TokenGroups& groups);

  /// Scratch for any source of this size.
  static int64_t scratch_bytes(int workers, int64_t tokens, int64_t cols);

 private:
  void prepare_range(const Activations& made, std::byte* data, int64_t begin, int64_t end,
                     int worker) const;
  const float* row(int64_t token, int worker) const;

  const EngineTable& engine_;
  base::ThreadPool& pool_;
  const ActivationSource& source_;
  std::span<std::byte> rows_;  ///< one normalised row for each worker
  std::span<std::byte> free_;  ///< what is left of the scratch
};

}  // namespace neuros::kernels::cpu
