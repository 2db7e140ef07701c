#pragma once

/// GGUF files in several parts (docs/formats/gguf.md, "Split files").

#include "base/result.h"
#include "formats/checkpoint.h"

#include <string>

namespace neuros::formats {

/// True if the metadata says that the file is one of several.
bool is_split(const Metadata& metadata);

/// "dir/m-00001-of-00003.gguf" with `number` 2 gives "dir/m-00002-of-00003.gguf". Fails if the
/// name does not end so, with that count.
base::Result<std::string> split_part_path(const std::string& path, int64_t number, int64_t count);

/// Maps and parses one file, parts not merged. Errors begin with the path.
base::Result<Checkpoint> open_gguf_file(const std::string& path);

/// Adds the tensors of the other parts to those of the first, which was opened by its path.
base::Result<Checkpoint> merge_split_gguf(Checkpoint first);

}  // namespace neuros::formats
