#include "builder/weight_layout.h"

#include "kernels/quantise.h"

#include <algorithm>

namespace neuros::builder {
namespace {

using plan::WeightPlacement;

int64_t aligned(int64_t bytes, int64_t alignment = 64) {
  return (bytes + alignment - 1) / alignment * alignment;
}

base::Result<WeightPlacement> place_vector(const plan::WeightRef& ref,
                                           const base::TensorView& tensor) {
  using base::DType;
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16) {
    return base::fail("tensor " + ref.name + ": type " + std::string(base::name(tensor.dtype)) +
                      " for a vector, expected f32, f16 or bf16");
  }
  WeightPlacement weight;
  weight.kind = WeightPlacement::Kind::kVector;
  weight.rows = 1;
  weight.dtype = tensor.dtype;
  weight.cols = tensor.cols();
  weight.bytes = aligned(base::bytes_of(DType::kF32, weight.cols));
  return weight;
}

/// What a matrix is in memory.
base::Result<base::DType> matrix_type(const base::TensorView& tensor, const std::string& name,
                                      const WeightTypes& types) {
  const auto wanted = types.find(name);
  if (wanted == types.end() || wanted->second == tensor.dtype) return tensor.dtype;
  const base::DType dtype = wanted->second;
  const bool can_change = !base::is_quantised(tensor.dtype) && kernels::can_quantise(dtype) &&
                          tensor.cols() % base::info(dtype).block_elements == 0;
  if (can_change) return dtype;
  return base::fail("tensor " + name + ": " + std::string(base::name(tensor.dtype)) + " of " +
                        std::to_string(tensor.cols()) + " columns cannot become " +
                        std::string(base::name(dtype)) + " at boot",
                    base::ErrorKind::kUnsupported);
}

base::Result<WeightPlacement> place_matrix(const plan::WeightRef& ref,
                                           const base::TensorView& tensor, const WeightTypes& types,
                                           const kernels::OpTable& ops) {
  const base::DType dtype = TRY(matrix_type(tensor, ref.name, types));
  const bool can_be_weight = static_cast<int>(dtype) < base::kWeightDTypeCount;
  if (!can_be_weight || !ops.linear_for(dtype)) {
    return base::fail("tensor " + ref.name + ": " + ops.name + " has no kernel for type " +
                          std::string(base::name(dtype)),
                      base::ErrorKind::kUnsupported);
  }
  const kernels::LinearKernel& kernel = ops.linear_for(dtype);
  WeightPlacement weight;
  weight.kind = WeightPlacement::Kind::kMatrix;
  weight.dtype = dtype;
  weight.rows = tensor.rows();
  weight.cols = tensor.cols();
  weight.bytes = aligned(kernel.packed_bytes(weight.rows, weight.cols));
  weight.kernel = kernel.name;
  return weight;
}

base::Result<WeightPlacement> place(const formats::Checkpoint& checkpoint,
                                    const plan::WeightRef& ref, const WeightTypes& types,
                                    const kernels::OpTable& ops) {
  const base::TensorView tensor = TRY(checkpoint.tensor(ref.name));
  WeightPlacement weight = ref.shape.size() == 1 ? TRY(place_vector(ref, tensor))
                                                 : TRY(place_matrix(ref, tensor, types, ops));
  weight.name = ref.name;
  weight.file_dtype = tensor.dtype;
  weight.file_bytes = static_cast<int64_t>(tensor.bytes.size());
  return weight;
}

}  // namespace

base::Result<> lay_out_weights(const formats::Checkpoint& checkpoint, const kernels::OpTable& ops,
                               const WeightTypes& types, int64_t segment_alignment,
                               plan::Plan& plan) {
  int64_t end = 0;
  for (size_t i = 0; i < plan.program.segments.size(); ++i) {
    const plan::Segment& segment = plan.program.segments[i];
    plan::SegmentPlacement placed{segment.name, end, 0};
    for (const plan::Op& op : segment.ops) {
      for (const plan::WeightRef* ref : plan::weights_of(op)) {
        if (plan.find_weight(ref->name) != nullptr) continue;
        WeightPlacement weight = TRY(place(checkpoint, *ref, types, ops));
        weight.segment = static_cast<int32_t>(i);
        weight.offset = end;
        end += weight.bytes;
        plan.weights.push_back(std::move(weight));
      }
    }
    placed.bytes = aligned(end - placed.offset, plan::kSegmentAlignment);
    end = aligned(end, segment_alignment);
    plan.segments.push_back(std::move(placed));
  }
  plan.memory.weights = end;
  plan.memory.staging = plan::kSourceParts * plan::source_part_bytes(plan.weights);
  const bool quantises = std::ranges::any_of(
      plan.weights, [](const WeightPlacement& weight) { return weight.is_quantised_at_boot(); });
  if (quantises) plan.memory.staging += plan::source_part_bytes(plan.weights);
  return {};
}

}  // namespace neuros::builder
