#include "formats/tensor_bytes.h"

#include <string>

namespace neuros::formats {

base::Result<int64_t> tensor_bytes(base::DType dtype, const base::Shape& shape) {
  const base::DTypeInfo& type = base::info(dtype);
  const int64_t cols = shape.empty() ? 1 : shape.back();
  if (cols % type.block_elements != 0) {
    return base::fail("rows of " + std::to_string(cols) + " elements, expected a multiple of " +
                      std::to_string(type.block_elements) + " for " + std::string(type.name));
  }
  int64_t elements = 1;
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(elements, extent, &elements))
      return base::fail("shape " + base::to_string(shape) + " has more than 2^63-1 elements");
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes))
    return base::fail("shape " + base::to_string(shape) + " has more than 2^63-1 bytes");
  return bytes;
}

}  // namespace neuros::formats
