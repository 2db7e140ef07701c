#include "base/xxh64.h"
#include "formats/artefact.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace {

using namespace neuros::formats;

/// The end of a file, index and trailer, of which only the trailer's numbers are as given.
void read_end(std::span<const std::byte> end, uint64_t file_bytes) {
  if (end.size() < kArtefactTrailerBytes) return;
  const auto trailer = parse_artefact_trailer(end.last<kArtefactTrailerBytes>(), file_bytes);
  if (!trailer || !*trailer) return;
  if (end.size() - kArtefactTrailerBytes < (*trailer)->index_bytes) return;
  const auto bytes =
      end.last((*trailer)->index_bytes + kArtefactTrailerBytes).first((*trailer)->index_bytes);
  const auto index = parse_artefact_index(bytes, **trailer);
  if (!index) return;
  const std::vector<std::byte> again = encode_artefact_index(*index);
  if (!std::ranges::equal(again, bytes)) std::abort();
}

/// Overwrites what would stop most inputs at once: magic, version, lengths and hashes.
std::vector<std::byte> plausible(std::span<const std::byte> given, uint64_t& file_bytes) {
  ArtefactTrailer trailer;
  trailer.index_offset = uint64_t{1} << 40;
  trailer.index_bytes = given.size();
  trailer.index_hash = neuros::base::xxh64(given);
  trailer.file_bytes = trailer.index_offset + given.size() + kArtefactTrailerBytes;
  file_bytes = trailer.file_bytes;
  std::vector<std::byte> end(given.begin(), given.end());
  const auto encoded = encode_artefact_trailer(trailer);
  end.insert(end.end(), encoded.begin(), encoded.end());
  return end;
}

}  // namespace

/// Any bytes as the end of an artefact, as they are and made plausible; an index that is read is
/// written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto given = std::as_bytes(std::span(data, size));
  read_end(given, size);
  uint64_t file_bytes = 0;
  const std::vector<std::byte> end = plausible(given, file_bytes);
  read_end(end, file_bytes);
  if (size < kElfHeaderBytes) return 0;
  volatile bool known = executable_bytes(given.first<kElfHeaderBytes>()).has_value();
  static_cast<void>(known);
  return 0;
}
