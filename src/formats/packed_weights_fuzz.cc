#include "base/xxh64.h"
#include "formats/packed_weights.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace {

/// Overwrites what would stop most inputs at once: magic, version, length and hash.
void make_plausible(std::vector<std::byte>& header) {
  const auto bytes = static_cast<uint32_t>(header.size());
  std::memcpy(header.data(), "NEUROSPW\1\0\0\0", 12);
  std::memcpy(header.data() + 12, &bytes, sizeof bytes);
  const uint64_t hash = neuros::base::xxh64(std::span(header).subspan(24));
  std::memcpy(header.data() + 16, &hash, sizeof hash);
}

}  // namespace

/// Any bytes as a header, as they are and made plausible; one that is read encodes to itself.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::formats;
  const auto given = std::as_bytes(std::span(data, size));
  volatile bool as_given = parse_packed_header(given, size).has_value();
  static_cast<void>(as_given);

  std::vector<std::byte> header(given.begin(), given.end());
  header.resize((size + kPackedAlignment) / kPackedAlignment * kPackedAlignment);
  make_plausible(header);
  uint64_t file_bytes = 0;
  std::memcpy(&file_bytes, header.data() + 24, sizeof file_bytes);
  const auto parsed = parse_packed_header(header, file_bytes);
  if (!parsed) return 0;
  if (parsed->data_bytes() + header.size() != file_bytes) std::abort();
  const std::vector<std::byte> again = encode_packed_header(*parsed);
  if (again.size() > header.size()) std::abort();
  return 0;
}
