#pragma once

/// What is inside a checkpoint, for people and for machines (`neuros inspect`).

#include "formats/checkpoint.h"

#include <cstddef>
#include <string>

namespace neuros::formats {

struct DescribeOptions {
  size_t array_items_max = 6;   ///< of longer arrays only the first ones are shown, with the count
  size_t text_bytes_max = 100;  ///< longer texts are cut; JSON shows them whole
};

/// Several lines: the file, its metadata, every tensor (dtype, shape, bytes; blk.2 before blk.10),
/// and totals by dtype.
std::string describe(const Checkpoint& checkpoint, const DescribeOptions& options = {});

/// The same as one JSON object:
/// {"path", "source", "metadata": {key: value}, "tensors": [{"name", "dtype", "shape", "bytes"}],
///  "totals": [{"dtype", "tensors", "elements", "bytes"}], "side_files": {name: bytes}}.
/// An array longer than `array_items_max` is {"count": n, "first": [...]}. Bytes that are not UTF-8
/// become U+FFFD.
std::string describe_json(const Checkpoint& checkpoint, const DescribeOptions& options = {});

}  // namespace neuros::formats
