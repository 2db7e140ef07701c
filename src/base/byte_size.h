#pragma once

/// Sizes as people write them.

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace neuros::base {

inline constexpr int64_t kByteSizeMax = 1'000'000'000'000'000'000;

/// "24GB" (24 * 10^9), "1.5GiB" (1.5 * 2^30), "512M", plain bytes; the unit in either case. At most
/// kByteSizeMax.
Result<int64_t> parse_bytes(std::string_view text);

/// The shortest text that parse_bytes reads back: "24GB", "24GiB", "1000001".
std::string bytes_text(int64_t bytes);

/// "1.5 MiB" below ten, "24 MiB" from there on, rounded up: what is needed is never said to be less.
std::string mebibytes(int64_t bytes);

}  // namespace neuros::base
