#pragma once

/// Reads safetensors files (docs/formats/safetensors.md).

#include "base/result.h"
#include "base/tensor_view.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace neuros::formats {

using TensorMap = std::map<std::string, base::TensorView, std::less<>>;

/// Parses one file in memory. The views point into `bytes`, which must outlive them, and need not
/// be aligned. BOOL and unsigned tensors are checked and left out. Never reads outside `bytes`.
base::Result<TensorMap> parse_safetensors(std::span<const std::byte> bytes);

/// Tensor name to file name, from the text of a "*.safetensors.index.json". File names are plain:
/// no directories.
base::Result<std::map<std::string, std::string, std::less<>>> parse_safetensors_index(
    std::string_view text);

}  // namespace neuros::formats
