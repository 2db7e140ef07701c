#include "kernels/cuda/choice_values.h"

#include "kernels/cuda/activations.h"
#include "kernels/cuda/decode_parameters.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/many_plan.h"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tiling.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

/// Multiprocessors of a device whose kernels leave a choice, from its kind; nullopt: of others.
std::optional<int> multiprocessors_of(std::string_view device_kind) {
  constexpr std::string_view kHopper = "sm_90/";
  if (!device_kind.starts_with(kHopper)) return std::nullopt;
  device_kind.remove_prefix(kHopper.size());
  int count = 0;
  const char* const end = device_kind.data() + device_kind.size();
  const auto [last, error] = std::from_chars(device_kind.data(), end, count);
  if (error != std::errc() || last != end || count < 1) return std::nullopt;
  return count;
}

bool is_current_device(int multiprocessors) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    cudaGetLastError();  // there is none, which is no error here
    return false;
  }
  const DeviceTraits traits = device_traits();
  return traits.compute_capability == 90 && traits.multiprocessors == multiprocessors;
}

/// Clusters of four blocks that each fill a multiprocessor.
int clusters_of(int multiprocessors) {
  return is_current_device(multiprocessors) ? prefill::large_clusters() : multiprocessors / 4;
}

std::vector<int32_t> prompt_values(int multiprocessors, const ChoiceKey& key) {
  const auto tiles = [&](int64_t rows) { return (key.rows + rows - 1) / rows; };
  const prefill::TilingShape shape{.dtype = key.dtype,
                                   .cols = key.cols,
                                   .tokens = key.tokens,
                                   .row_tiles = tiles(prefill::kTileRows),
                                   .strips = tiles(prefill::kTileRows / 2)};
  prefill::TilingCard card{.multiprocessors = multiprocessors,
                           .large_clusters = clusters_of(multiprocessors)};
  const auto choice = [&] { return prefill::choice_of(shape, choose_tiling(card, shape)); };
  std::vector<int32_t> values{choice()};
  for (const int32_t value : {64, 128, 256, kMixedTiles}) {
    card.chosen = value;
    // A launch that has no use for both kinds of tiles has only one of them.
    if (value != values.front() && choice() == value) values.push_back(value);
  }
  return values;
}

/// The plan thought best, and those thought to take up to a quarter longer.
std::vector<int32_t> halves_values(int multiprocessors, const HalvesProblem& problem) {
  const HalvesPlan best = best_halves_plan(problem, multiprocessors);
  const double most = 1.25 * halves_cost(problem, best, multiprocessors);
  std::vector<int32_t> values{halves_choice(best)};
  for (const int split : {1, 2, 4}) {
    for (int panels = 1; panels <= kHalvesPanelsMax / problem.passes; ++panels) {
      const HalvesPlan plan{.split = split, .panels = panels};
      if (plan == best || !is_possible(problem, plan, multiprocessors)) continue;
      if (halves_cost(problem, plan, multiprocessors) <= most) {
        values.push_back(halves_choice(plan));
      }
    }
  }
  return values;
}

std::vector<int32_t> many_values(int multiprocessors, const ChoiceKey& key) {
  const auto panels = static_cast<int>(panel_count(key.rows));
  // Of gate and up, one after the other.
  const int passes = key.op == ChoiceOp::kDecodeManyGated ? 2 : 1;
  const int in_pass = (panels + passes - 1) / passes;
  if (!base::is_quantised(key.dtype)) {
    return halves_values(multiprocessors, {.panels = in_pass,
                                           .passes = passes,
                                           .columns = static_cast<int>(key.cols),
                                           .token_tiles = token_tiles(key.tokens)});
  }
  std::vector<int32_t> values{
      std::min(in_pass, tile_panels(in_pass, clusters_of(multiprocessors)))};
  for (int32_t height = 1; height <= std::min(kManyTilePanels, in_pass); ++height) {
    if (height != values.front()) values.push_back(height);
  }
  return values;
}

}  // namespace

std::vector<int32_t> choice_values(std::string_view device_kind, const ChoiceKey& key) {
  const auto multiprocessors = multiprocessors_of(device_kind);
  if (!multiprocessors || key.dtype == DType::kF32) return {};
  switch (key.op) {
    case ChoiceOp::kPrompt:
    case ChoiceOp::kPromptGated:
      return prompt_values(*multiprocessors, key);
    case ChoiceOp::kDecodeMany:
      return many_values(*multiprocessors, key);
    case ChoiceOp::kDecodeManyGated:
      return can_pair(key.dtype) ? many_values(*multiprocessors, key) : std::vector<int32_t>();
    case ChoiceOp::kDecodeStep:
      return fits_step(key) ? std::vector<int32_t>{1, 0} : std::vector<int32_t>();
  }
  return {};
}

/// Wider rows would leave no room for the rings.
bool fits_step(const ChoiceKey& key) {
  constexpr int64_t kColsMax = 32768;
  if (key.cols > kColsMax) return false;
  switch (activation_kind(key.dtype)) {
    case ActivationKind::kQ8:
      return true;
    case ActivationKind::kBF16:
    case ActivationKind::kF16:
      return key.cols % kHalfChunkColumns == 0;
    default:
      return false;
  }
}

}  // namespace neuros::kernels::cuda
