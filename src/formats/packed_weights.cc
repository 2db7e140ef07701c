#include "formats/packed_weights.h"

#include "base/check.h"
#include "base/xxh64.h"
#include "formats/byte_cursor.h"
#include "formats/byte_encoder.h"
#include "formats/printable.h"

#include <cstring>
#include <string_view>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

constexpr std::string_view kMagic = "NEUROSPW";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kSegmentsMax = 65'536;
constexpr size_t kHashAt = 16, kHashedFrom = 24, kFileBytesAt = 24;

Result<PackedSegment> read_segment(ByteCursor& cursor) {
  PackedSegment segment;
  segment.name = TRY(cursor.text("name of a segment"));
  segment.bytes = TRY(cursor.read<uint64_t>("bytes of a segment"));
  segment.hash = TRY(cursor.read<uint64_t>("hash of a segment"));
  if (segment.bytes % kPackedAlignment != 0) {
    return fail("segment " + printable(segment.name) + ": " + std::to_string(segment.bytes) +
                " bytes, expected a multiple of " + std::to_string(kPackedAlignment));
  }
  return segment;
}

Result<PackedWeightsHeader> read_fields(ByteCursor& cursor, uint64_t data_bytes) {
  PackedWeightsHeader header;
  header.key = TRY(cursor.read<uint64_t>("key"));
  header.made_for = TRY(cursor.text("what the weights are for"));
  const auto count = TRY(cursor.read<uint32_t>("number of segments"));
  if (count > kSegmentsMax) {
    return fail(std::to_string(count) + " segments, limit " + std::to_string(kSegmentsMax));
  }
  uint64_t left = data_bytes;
  for (uint32_t i = 0; i < count; ++i) {
    PackedSegment segment = TRY(read_segment(cursor));
    if (segment.bytes > left) {
      return fail("segment " + printable(segment.name) + ": " + std::to_string(segment.bytes) +
                  " bytes, the file has " + std::to_string(left) + " left");
    }
    left -= segment.bytes;
    header.segments.push_back(std::move(segment));
  }
  if (left != 0) return fail(std::to_string(left) + " bytes after the last segment");
  return header;
}

Result<> check_hash(std::span<const std::byte> header) {
  uint64_t expected = 0;
  std::memcpy(&expected, header.data() + kHashAt, sizeof expected);
  if (base::xxh64(header.subspan(kHashedFrom)) == expected) return {};
  return fail("its header is damaged: the hash differs");
}

}  // namespace

uint64_t PackedWeightsHeader::data_bytes() const {
  uint64_t bytes = 0;
  for (const PackedSegment& segment : segments) bytes += segment.bytes;
  return bytes;
}

std::vector<std::byte> encode_packed_header(const PackedWeightsHeader& header) {
  ByteEncoder encoder;
  encoder.raw(kMagic);
  encoder.put(kVersion);
  encoder.put(uint32_t{0});  // header bytes
  encoder.put(uint64_t{0});  // hash
  encoder.put(uint64_t{0});  // file bytes
  encoder.put(header.key);
  encoder.text(header.made_for);
  encoder.put(static_cast<uint32_t>(header.segments.size()));
  for (const PackedSegment& segment : header.segments) {
    CHECK(segment.bytes % kPackedAlignment == 0);
    encoder.text(segment.name);
    encoder.put(segment.bytes);
    encoder.put(segment.hash);
  }
  encoder.pad(kPackedAlignment);
  const size_t bytes = encoder.bytes().size();
  CHECK(bytes <= kPackedHeaderBytesMax);
  encoder.patch(kMagic.size() + sizeof kVersion, static_cast<uint32_t>(bytes));
  encoder.patch(kFileBytesAt, bytes + header.data_bytes());
  encoder.patch(kHashAt, base::xxh64(std::span(encoder.bytes()).subspan(kHashedFrom)));
  return std::move(encoder.bytes());
}

Result<uint64_t> packed_header_bytes(std::span<const std::byte> start) {
  ByteCursor cursor(start);
  const auto magic = TRY(cursor.take(kMagic.size(), "magic"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail("not a file of packed weights");
  }
  const auto version = TRY(cursor.read<uint32_t>("version"));
  if (version != kVersion) {
    return fail("version " + std::to_string(version) + ", expected " + std::to_string(kVersion),
                base::ErrorKind::kUnsupported);
  }
  const auto bytes = TRY(cursor.read<uint32_t>("header bytes"));
  if (bytes == 0 || bytes % kPackedAlignment != 0 || bytes > kPackedHeaderBytesMax) {
    return fail("a header of " + std::to_string(bytes) + " bytes, expected a multiple of " +
                std::to_string(kPackedAlignment) + " up to " +
                std::to_string(kPackedHeaderBytesMax));
  }
  return bytes;
}

Result<PackedWeightsHeader> parse_packed_header(std::span<const std::byte> header,
                                                uint64_t file_bytes) {
  const uint64_t header_bytes = TRY(packed_header_bytes(header));
  if (header_bytes != header.size()) {
    return fail("a header of " + std::to_string(header_bytes) + " bytes, " +
                std::to_string(header.size()) + " are there");
  }
  TRY(check_hash(header));
  ByteCursor cursor(header);
  TRY(cursor.take(kFileBytesAt, "header"));
  const auto whole = TRY(cursor.read<uint64_t>("bytes of the file"));
  if (whole != file_bytes || whole < header_bytes) {
    return fail(std::to_string(file_bytes) + " bytes, expected " + std::to_string(whole));
  }
  return read_fields(cursor, whole - header_bytes);
}

uint64_t packed_segment_hash(std::span<const uint64_t> part_hashes) {
  return base::xxh64(std::as_bytes(part_hashes));
}

}  // namespace neuros::formats
