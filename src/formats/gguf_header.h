#pragma once

/// What a GGUF file begins with, as bytes; the inverse of the reader.

#include "base/result.h"
#include "base/tensor_view.h"
#include "formats/checkpoint.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::formats {

/// A tensor that a writer will be given the bytes of.
struct TensorDeclaration {
  std::string name;
  base::DType dtype = base::DType::kF32;
  base::Shape shape;  ///< row-major, slowest first, at most 4 extents
};

struct GgufHeader {
  std::string bytes;                   ///< up to the data section, padding included
  std::vector<uint64_t> tensor_bytes;  ///< of each tensor, in the order declared, without padding
  uint64_t file_bytes = 0;             ///< header, tensors and padding
};

/// Encodes a version 3 header with alignment 32 (docs/formats/gguf.md, "What the writer writes").
/// Fails on what the reader would refuse: a name twice or too long, an extent below 1, rows that
/// are not whole blocks, more than 4 extents.
base::Result<GgufHeader> encode_gguf_header(const Metadata& metadata,
                                            const std::vector<TensorDeclaration>& tensors);

}  // namespace neuros::formats
