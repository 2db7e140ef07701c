#include "kernels/cpu/prepare.h"

#include "base/check.h"
#include "kernels/cpu/panel_layout.h"

#include <algorithm>

namespace neuros::kernels::cpu {
namespace {

/// Tokens a worker prepares at a time; groups never straddle two of them.
constexpr int64_t kGrainTokens = 12;

int64_t row_bytes(int64_t cols) {
  return round_up(cols * static_cast<int64_t>(sizeof(float)), 64);
}

int64_t bytes_of(ActivationKind kind, int64_t tokens, int64_t cols) {
  return round_up(tokens * activation_token_bytes(kind, cols), 64);
}

}  // namespace

Preparer::Preparer(const EngineTable& engine, base::ThreadPool& pool,
                   const ActivationSource& source, std::span<std::byte> scratch)
    : engine_(engine), pool_(pool), source_(source) {
  const int64_t rows = source.norm_weight == nullptr ? 0 : pool.size() * row_bytes(source.cols);
  CHECK(rows <= std::ssize(scratch), "scratch is too small");
  rows_ = scratch.first(static_cast<size_t>(rows));
  free_ = scratch.subspan(static_cast<size_t>(rows));
}

Activations Preparer::prepare(ActivationKind kind) {
  return prepare(kind, engine_.groups(kind, source_.tokens));
}

Activations Preparer::prepare(ActivationKind kind, const TokenGroups& groups) {
  const int64_t bytes = bytes_of(kind, source_.tokens, source_.cols);
  CHECK(bytes <= std::ssize(free_), "scratch is too small");
  std::byte* data = free_.data();
  free_ = free_.subspan(static_cast<size_t>(bytes));
  const Activations made{.kind = kind,
                         .groups = groups,
                         .token_bytes = activation_token_bytes(kind, source_.cols),
                         .data = data};
  const int64_t grain = groups.block_tokens == 0 ? 16 : round_up(kGrainTokens, groups.block_tokens);
  pool_.parallel_for(source_.tokens, grain, [&](int64_t begin, int64_t end, int worker) {
    prepare_range(made, data, begin, end, worker);
  });
  return made;
}

void Preparer::prepare_range(const Activations& made, std::byte* data, int64_t begin, int64_t end,
                             int worker) const {
  const PrepareFn function = engine_.prepare[static_cast<size_t>(made.kind)];
  int size = 0;
  for (int64_t first = begin; first < end; first += size) {
    size = made.groups.size_at(first);
    for (int slot = 0; slot < size; ++slot) {
      function({.row = row(first + slot, worker),
                .cols = source_.cols,
                .slot = slot,
                .tokens = size,
                .group = data + first * made.token_bytes});
    }
  }
}

const float* Preparer::row(int64_t token, int worker) const {
  const int64_t index = source_.rows.empty() ? token : source_.rows[static_cast<size_t>(token)];
  const float* x = source_.x + index * source_.cols;
  if (source_.norm_weight == nullptr) return x;
  auto* normalised = reinterpret_cast<float*>(rows_.data() + worker * row_bytes(source_.cols));
  engine_.normalise(x, source_.norm_weight, source_.epsilon, source_.cols, normalised);
  return normalised;
}

int64_t Preparer::scratch_bytes(int workers, int64_t tokens, int64_t cols) {
  return workers * row_bytes(cols) + bytes_of(ActivationKind::kF32, tokens, cols) +
         bytes_of(ActivationKind::kBF16, tokens, cols);
}

}  // namespace neuros::kernels::cpu
