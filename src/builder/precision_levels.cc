#include "builder/precision_levels.h"

#include "base/check.h"
#include "builder/rounding_error.h"
#include "builder/type_mix.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace neuros::builder {
namespace {

using plan::WeightPlacement;

int64_t aligned(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// "blk.12.ffn_down.weight" -> "blk.12.ffn"; outside the layers the tensor's own name.
std::string group_name(std::string_view tensor) {
  const size_t dot = tensor.rfind('.');
  std::string name(tensor.substr(0, dot));
  if (!name.starts_with("blk.")) return name;
  return name.substr(0, name.find('_', name.find('.', 4)));
}

/// How much more an error there harms than in the feed-forward of a middle layer: attention decides
/// what is looked at, the first layers feed all others, table and head touch every token.
double care_of(std::string_view group, int32_t layers, bool tied_head) {
  constexpr double kAttention = 2, kFirst = 4, kLast = 2, kTable = 32, kHead = 64;
  if (group.starts_with("output")) return kHead;
  if (!group.starts_with("blk.")) return tied_head ? kHead : kTable;
  int32_t layer = 0;
  std::from_chars(group.data() + 4, group.data() + group.size(), layer);
  const int32_t eighth = std::max(1, layers / 8);
  double care = group.ends_with(".attn") ? kAttention : 1;
  if (layer < eighth) return care * kFirst;
  return layer >= layers - eighth ? care * kLast : care;
}

/// The type of a weight at a level that asks for `mix`.
base::DType dtype_at(const TypeMix& mix, const base::TensorView& tensor, const std::string& name,
                     int32_t layers, bool tied_head) {
  if (base::is_quantised(tensor.dtype)) return tensor.dtype;
  const base::DType dtype = dtype_in_mix(mix, name, tensor.shape, layers, tied_head);
  const bool gains_nothing = !base::is_quantised(dtype) &&
                             base::bits_per_element(dtype) >= base::bits_per_element(tensor.dtype);
  return gains_nothing ? tensor.dtype : dtype;
}

}  // namespace

base::Result<PrecisionLevels> PrecisionLevels::create(const formats::Checkpoint& checkpoint,
                                                      const plan::Plan& plan,
                                                      const kernels::OpTable& ops,
                                                      const std::vector<std::string>& precision,
                                                      const Importance& importance) {
  PrecisionLevels levels;
  levels.names_ = precision;
  if (precision.empty()) levels.names_.emplace_back(kAsInTheFile);
  levels.segment_bytes_.assign(plan.segments.size(), 0);
  for (const WeightPlacement& weight : plan.weights) {
    TRY(levels.add(checkpoint, plan, weight, ops, importance.of(weight.name)));
  }
  for (size_t i = 0; i < levels.groups_.size(); ++i) {
    for (double& error : levels.groups_[i].error) {
      error /= static_cast<double>(std::max<int64_t>(1, levels.elements_[i]));
    }
  }
  return levels;
}

size_t PrecisionLevels::group_of(const WeightPlacement& weight, int32_t layers, bool tied_head) {
  const std::string name = group_name(weight.name);
  const auto found = std::ranges::find(groups_, name, &WeightGroup::name);
  if (found != groups_.end() && found->segment == weight.segment) {
    return static_cast<size_t>(found - groups_.begin());
  }
  groups_.push_back({.name = name,
                     .segment = weight.segment,
                     .bytes = std::vector<int64_t>(names_.size(), 0),
                     .error = std::vector<double>(names_.size(), 0),
                     .care = care_of(name, layers, tied_head)});
  elements_.push_back(0);
  return groups_.size() - 1;
}

base::Result<> PrecisionLevels::add(const formats::Checkpoint& checkpoint, const plan::Plan& plan,
                                    const WeightPlacement& weight, const kernels::OpTable& ops,
                                    std::span<const float> importance) {
  const base::TensorView tensor = TRY(checkpoint.tensor(weight.name));
  const bool published = base::is_quantised(tensor.dtype);
  if (weight.kind == WeightPlacement::Kind::kVector || published || names_[0] == kAsInTheFile) {
    segment_bytes_[static_cast<size_t>(weight.segment)] += weight.bytes;
    has_published_ |= published;
    return {};
  }
  const bool tied = checkpoint.find_tensor("output.weight") == nullptr;
  const int32_t layers = plan.program.layers;
  Matrix matrix{.name = weight.name, .group = group_of(weight, layers, tied), .dtypes = {}};
  WeightGroup& group = groups_[matrix.group];
  elements_[matrix.group] += weight.rows * weight.cols;
  for (size_t level = 0; level < names_.size(); ++level) {
    const auto mix = find_type_mix(names_[level]);
    if (!mix) return base::fail("precision " + names_[level] + ": no such type");
    const base::DType dtype = dtype_at(*mix, tensor, weight.name, layers, tied);
    const kernels::LinearKernel& kernel = ops.linear_for(dtype);
    if (!kernel) {
      return base::fail("precision " + names_[level] + ": " + ops.name + " has no kernel for " +
                            std::string(base::name(dtype)),
                        base::ErrorKind::kUnsupported);
    }
    matrix.dtypes.push_back(dtype);
    group.bytes[level] += aligned(kernel.packed_bytes(weight.rows, weight.cols));
    if (names_.size() == 1) continue;  // nothing to choose by it
    group.error[level] +=
        rounding_error(tensor, dtype, importance) * static_cast<double>(weight.rows * weight.cols);
  }
  matrices_.push_back(std::move(matrix));
  return {};
}

WeightTypes PrecisionLevels::types_of(std::span<const int32_t> levels) const {
  CHECK(levels.size() == groups_.size(), "a level for each group");
  WeightTypes types;
  for (const Matrix& matrix : matrices_) {
    types[matrix.name] = matrix.dtypes[static_cast<size_t>(levels[matrix.group])];
  }
  return types;
}

}  // namespace neuros::builder
