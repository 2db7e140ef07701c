#pragma once

/// The header of a file of packed weights (docs/formats/weight-cache.md).

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace neuros::formats {

/// Header, segments and whatever else is read past the page cache are multiples of this.
inline constexpr uint64_t kPackedAlignment = 4096;
/// Segments are read and hashed in parts of this size.
inline constexpr uint64_t kPackedPartBytes = uint64_t{4} << 20;
inline constexpr uint64_t kPackedHeaderBytesMax = uint64_t{16} << 20;

struct PackedSegment {
  std::string name;
  uint64_t bytes = 0;  ///< a multiple of kPackedAlignment
  uint64_t hash = 0;   ///< packed_segment_hash of its parts
};

struct PackedWeightsHeader {
  uint64_t key = 0;      ///< equal keys: equal weights
  std::string made_for;  ///< model and kernels, for people
  std::vector<PackedSegment> segments;

  uint64_t data_bytes() const;
};

/// The header's bytes; the segments follow them.
std::vector<std::byte> encode_packed_header(const PackedWeightsHeader& header);

/// How many bytes of a file that begins with `start` are its header. Fails for another file, or
/// another version.
base::Result<uint64_t> packed_header_bytes(std::span<const std::byte> start);

/// Parses a whole header of a file of `file_bytes`.
base::Result<PackedWeightsHeader> parse_packed_header(std::span<const std::byte> header,
                                                      uint64_t file_bytes);

/// A segment's hash from those of its parts, in order.
uint64_t packed_segment_hash(std::span<const uint64_t> part_hashes);

}  // namespace neuros::formats
