#pragma once

/// Reads GGUF version 2 and 3 (docs/formats/gguf.md).

#include "base/result.h"
#include "formats/checkpoint.h"

#include <cstddef>
#include <span>
#include <string>

namespace neuros::formats {

/// Parses one GGUF file in memory. The views of the result point into `bytes`, which must outlive
/// it; `files` and `path` stay empty. Never reads outside `bytes`, whatever they are.
base::Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes);

/// Maps and parses a file; the first part of a split file brings the others with it.
/// Errors begin with the path.
base::Result<Checkpoint> open_gguf(const std::string& path);

}  // namespace neuros::formats
