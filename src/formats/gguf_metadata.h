#pragma once

#include "base/result.h"
#include "formats/byte_cursor.h"
#include "formats/checkpoint.h"

#include <cstdint>
#include <string>

namespace neuros::formats {

/// Reads `count` key-value pairs at the cursor. Fails on anything docs/formats/gguf.md forbids;
/// errors name the key and have no "gguf:" in front.
base::Result<Metadata> read_gguf_metadata(ByteCursor& cursor, uint64_t count);

/// A length-prefixed string of at most `bytes_max` bytes; `what` names it in errors.
base::Result<std::string> read_gguf_string(ByteCursor& cursor, uint64_t bytes_max,
                                           std::string_view what);

}  // namespace neuros::formats
