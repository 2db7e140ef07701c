#include "kernels/kernel_choices.h"

#include <algorithm>
#include <array>
#include <bit>

namespace neuros::kernels {
namespace {

/// The narrowest tile of prompt rows.
constexpr uint64_t kPromptTokensMin = 64;

constexpr std::array<std::string_view, kChoiceOpCount> kNames{
    "prompt", "prompt_gated", "decode_many", "decode_many_gated", "decode_step"};

}  // namespace

std::string_view name(ChoiceOp op) {
  return kNames.at(static_cast<size_t>(op));
}

std::optional<ChoiceOp> choice_op_from_name(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ChoiceOp>(found - kNames.begin());
}

int64_t token_bucket(ChoiceOp op, int64_t tokens) {
  const bool prompt = op == ChoiceOp::kPrompt || op == ChoiceOp::kPromptGated;
  const auto least = prompt ? kPromptTokensMin : 1;
  return static_cast<int64_t>(
      std::bit_ceil(std::max(least, static_cast<uint64_t>(std::max<int64_t>(tokens, 1)))));
}

KernelChoices::KernelChoices(std::vector<KernelChoice> choices) : choices_(std::move(choices)) {
  std::ranges::stable_sort(choices_, {}, &KernelChoice::key);
  const auto same_key = [](const KernelChoice& a, const KernelChoice& b) { return a.key == b.key; };
  choices_.erase(std::unique(choices_.begin(), choices_.end(), same_key), choices_.end());
}

std::optional<int32_t> KernelChoices::find(ChoiceKey key) const {
  key.tokens = token_bucket(key.op, key.tokens);
  const auto found = std::ranges::lower_bound(choices_, key, {}, &KernelChoice::key);
  if (found == choices_.end() || found->key != key) return std::nullopt;
  return found->value;
}

}  // namespace neuros::kernels
