#pragma once

/// What a conversion writes: the metadata and, tensor by tensor, where its rows come from.

#include "base/result.h"
#include "base/tensor_view.h"
#include "builder/type_mix.h"
#include "formats/checkpoint.h"
#include "formats/gguf_header.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::builder {

/// The order of the rows of each head of Q or K. HF rotates row i of a head together with row
/// i + rope_dims/2, GGUF files of architecture llama the neighbours 2i and 2i+1; the rows beyond
/// rope_dims are not rotated and stay.
struct RowOrder {
  int32_t head_dim = 0;   ///< 0: rows stay where they are
  int32_t rope_dims = 0;  ///< even, at most head_dim

  bool keeps() const { return head_dim == 0; }
  /// Which row of the source becomes row `row`.
  int64_t source_row(int64_t row) const;
};

struct ConvertedTensor {
  formats::TensorDeclaration target;
  base::TensorView source;  ///< of the same shape
  RowOrder order;
};

struct ConvertPlan {
  formats::Metadata metadata;
  std::vector<ConvertedTensor> tensors;  ///< in the order of the file
  std::vector<float> rope_divisors;      ///< [rope_dims/2], what rope_freqs.weight views; or empty
  std::vector<std::string> notes;        ///< for the user

  std::vector<formats::TensorDeclaration> declarations() const;
};

/// The plan of one conversion; its views point into `checkpoint` and itself.
base::Result<ConvertPlan> plan_conversion(const formats::Checkpoint& checkpoint,
                                          const TypeMix& mix);

}  // namespace neuros::builder
