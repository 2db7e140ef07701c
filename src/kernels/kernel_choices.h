#pragma once

/// Which of several ways of running a launch was measured to be the fastest. Ways differ in time,
/// never in results. docs/formats/kernel-choices.md says what they are.

#include "base/dtype.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace neuros::kernels {

enum class ChoiceOp : uint8_t {
  kPrompt,           ///< product of prompt rows: tokens of a tile, or kMixedTiles
  kPromptGated,      ///< gate and up of prompt rows in one launch: the same
  kDecodeMany,       ///< product of decode steps of many sequences: how rows are cut into tiles
  kDecodeManyGated,  ///< gate and up of those in one launch: the same
  kDecodeStep,       ///< a matrix in a decode step of one sequence: 1 in the one kernel, 0 a launch
};
inline constexpr int kChoiceOpCount = 5;
inline constexpr int32_t kMixedTiles = 384;  ///< tiles of 256 tokens and of 128, or of two heights

std::string_view name(ChoiceOp op);  ///< "prompt_gated"
std::optional<ChoiceOp> choice_op_from_name(std::string_view name);

/// A launch: all its matrices together, and how many tokens they are multiplied by.
struct ChoiceKey {
  ChoiceOp op = ChoiceOp::kPrompt;
  base::DType dtype = base::DType::kF32;
  int64_t rows = 0, cols = 0;
  int64_t tokens = 0;

  auto operator<=>(const ChoiceKey&) const = default;
};

/// The most tokens that share a choice with `tokens` of them: a power of two.
int64_t token_bucket(ChoiceOp op, int64_t tokens);

struct KernelChoice {
  ChoiceKey key;  ///< its tokens are a bucket
  int32_t value = 0;

  bool operator==(const KernelChoice&) const = default;
};

/// The choices of one device. Immutable: many threads may look for theirs.
class KernelChoices {
 public:
  KernelChoices() = default;
  /// In any order; of equal keys the first.
  explicit KernelChoices(std::vector<KernelChoice> choices);

  /// For the bucket of key.tokens; nullopt: the kernels' own estimate.
  std::optional<int32_t> find(ChoiceKey key) const;
  const std::vector<KernelChoice>& all() const { return choices_; }

 private:
  std::vector<KernelChoice> choices_;  ///< by key
};

}  // namespace neuros::kernels
