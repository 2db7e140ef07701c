#include "formats/gguf_reader.h"

#include "formats/byte_cursor.h"
#include "formats/gguf.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_split.h"
#include "formats/gguf_tensors.h"

#include <bit>
#include <utility>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

/// Least bytes of a key (empty name, one-byte value) and of a tensor info (empty name, scalar).
constexpr uint64_t kKeyBytesMin = 8 + 4 + 1;
constexpr uint64_t kTensorBytesMin = 8 + 4 + 4 + 8;

Result<> check_magic_and_version(ByteCursor& cursor) {
  const auto magic = TRY(cursor.take(kGgufMagic.size(), "magic"));
  if (std::memcmp(magic.data(), kGgufMagic.data(), kGgufMagic.size()) != 0)
    return fail("bad magic, expected the file to begin with GGUF");
  const auto version = TRY(cursor.read<uint32_t>("version"));
  if (version == 2 || version == kGgufVersion) return {};
  if ((version & 0xffff) == 0 && version != 0)
    return fail("big-endian file, only little-endian is supported", base::ErrorKind::kUnsupported);
  return fail("version " + std::to_string(version) + ", supported are 2 and 3",
              base::ErrorKind::kUnsupported);
}

Result<uint64_t> read_count(ByteCursor& cursor, const std::string& what, uint64_t count_max) {
  const auto count = TRY(cursor.read<uint64_t>("number of " + what));
  if (count > count_max) {
    return fail(std::to_string(count) + " " + what + ", limit " + std::to_string(count_max));
  }
  return count;
}

Result<> check_room(const ByteCursor& cursor, const std::string& what, uint64_t count,
                    uint64_t bytes_each_min) {
  if (count <= cursor.remaining() / bytes_each_min) return {};
  return fail(std::to_string(count) + " " + what + ", only " + std::to_string(cursor.remaining()) +
              " bytes left in the file");
}

Result<uint64_t> alignment_of(const Metadata& metadata) {
  if (!metadata.contains(kGgufAlignmentKey)) return kGgufAlignment;
  const int64_t alignment = TRY(metadata.integer(kGgufAlignmentKey));
  if (alignment < 8 || alignment > static_cast<int64_t>(kGgufAlignmentMax) ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return fail("alignment " + std::to_string(alignment) + ", expected a power of two from 8 to " +
                std::to_string(kGgufAlignmentMax));
  }
  return static_cast<uint64_t>(alignment);
}

/// From the end of the tensor table, rounded up, to the end of the file.
Result<std::span<const std::byte>> data_section(std::span<const std::byte> bytes,
                                                uint64_t header_end, uint64_t alignment,
                                                uint64_t tensors) {
  const uint64_t start = align_up(header_end, alignment);
  if (start <= bytes.size()) return bytes.subspan(static_cast<size_t>(start));
  if (tensors == 0) return std::span<const std::byte>();
  return fail("data section begins at " + std::to_string(start) + ", file ends at " +
              std::to_string(bytes.size()));
}

Result<Checkpoint> parse(std::span<const std::byte> bytes) {
  ByteCursor cursor(bytes);
  TRY(check_magic_and_version(cursor));
  const uint64_t tensors = TRY(read_count(cursor, "tensors", kGgufTensorsMax));
  const uint64_t keys = TRY(read_count(cursor, "keys", kGgufKeysMax));
  TRY(check_room(cursor, "keys", keys, kKeyBytesMin));
  Checkpoint checkpoint;
  checkpoint.metadata = TRY(read_gguf_metadata(cursor, keys));
  TRY(check_room(cursor, "tensors", tensors, kTensorBytesMin));
  auto infos = TRY(read_gguf_tensor_infos(cursor, tensors));
  const uint64_t alignment = TRY(alignment_of(checkpoint.metadata));
  const auto data = TRY(data_section(bytes, cursor.offset(), alignment, tensors));
  checkpoint.tensors = TRY(place_gguf_tensors(std::move(infos), data, alignment));
  return checkpoint;
}

}  // namespace

Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes) {
  auto checkpoint = parse(bytes);
  if (!checkpoint) return tl::unexpected(base::with_context(checkpoint.error(), "gguf"));
  return checkpoint;
}

Result<Checkpoint> open_gguf(const std::string& path) {
  Checkpoint checkpoint = TRY(open_gguf_file(path));
  if (!is_split(checkpoint.metadata)) return checkpoint;
  return merge_split_gguf(std::move(checkpoint));
}

}  // namespace neuros::formats
