#pragma once

/// The tensor table of a GGUF file: reading it, and placing the tensors in the data section.

#include "base/result.h"
#include "base/tensor_view.h"
#include "formats/byte_cursor.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace neuros::formats {

/// One row of the table as the file has it, extents turned round to slowest first.
struct GgufTensorInfo {
  std::string name;
  base::Shape shape;
  uint32_t type_id = 0;
  uint64_t offset = 0;  ///< bytes from the start of the data section
};

/// Reads `count` rows at the cursor. Names are distinct, extents positive, their product fits.
base::Result<std::vector<GgufTensorInfo>> read_gguf_tensor_infos(ByteCursor& cursor,
                                                                 uint64_t count);

/// Views of all tensors in `data`, the data section up to the end of the file. Checks types, sizes
/// and offsets as docs/formats/gguf.md says, and tells the two layouts of type id 42 apart.
base::Result<std::map<std::string, base::TensorView, std::less<>>> place_gguf_tensors(
    std::vector<GgufTensorInfo> infos, std::span<const std::byte> data, uint64_t alignment);

}  // namespace neuros::formats
