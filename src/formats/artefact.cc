#include "formats/artefact.h"

#include "base/check.h"
#include "base/xxh64.h"
#include "formats/byte_cursor.h"
#include "formats/byte_encoder.h"
#include "formats/printable.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <elf.h>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

constexpr std::string_view kMagic = "NEUROSAP";
constexpr uint32_t kVersion = 1;
constexpr size_t kHashedBytes = kArtefactTrailerBytes - sizeof(uint64_t);
/// Less than a file can have, so that ends of parts do not overflow.
constexpr uint64_t kBytesMax = uint64_t{1} << 60;

void put(ByteEncoder& encoder, const ArtefactPart& part) {
  encoder.put(part.offset);
  encoder.put(part.bytes);
  encoder.put(part.hash);
}

/// Hands out the room of a file, from front to back.
class Room {
 public:
  Room(uint64_t begin, uint64_t end) : next_(begin), end_(end) {}

  Result<> take(const ArtefactPart& part, const std::string& what) {
    if (part.offset % kArtefactAlignment == 0 && part.offset >= next_ && part.offset <= end_ &&
        part.bytes <= end_ - part.offset) {
      next_ = part.end();
      return {};
    }
    return fail(what + ": " + std::to_string(part.bytes) + " bytes at " +
                std::to_string(part.offset) + ", expected a multiple of " +
                std::to_string(kArtefactAlignment) + " between " + std::to_string(next_) + " and " +
                std::to_string(end_));
  }

 private:
  uint64_t next_, end_;
};

Result<ArtefactPart> read_part(ByteCursor& cursor) {
  ArtefactPart part;
  part.offset = TRY(cursor.read<uint64_t>("offset of a part"));
  part.bytes = TRY(cursor.read<uint64_t>("bytes of a part"));
  part.hash = TRY(cursor.read<uint64_t>("hash of a part"));
  return part;
}

Result<ArtefactModel> read_model(ByteCursor& cursor) {
  ArtefactModel model;
  model.id = TRY(cursor.text("id of a model"));
  model.metadata = TRY(read_part(cursor));
  model.weights = TRY(read_part(cursor));
  return model;
}

Result<ArtefactIndex> read_fields(ByteCursor& cursor) {
  ArtefactIndex index;
  index.plan = TRY(read_part(cursor));
  index.specification = TRY(read_part(cursor));
  index.weights_file = TRY(cursor.text("name of the weights file"));
  index.weights_file_bytes = TRY(cursor.read<uint64_t>("bytes of the weights file"));
  const auto count = TRY(cursor.read<uint32_t>("number of models"));
  if (count < 1 || count > kArtefactModelsMax) {
    return fail(std::to_string(count) + " models, expected 1 to " +
                std::to_string(kArtefactModelsMax));
  }
  for (uint32_t i = 0; i < count; ++i) index.models.push_back(TRY(read_model(cursor)));
  if (cursor.remaining() == 0) return index;
  return fail(std::to_string(cursor.remaining()) + " bytes after the last model");
}

/// Of a file in the same folder.
Result<> check_weights_file(const ArtefactIndex& index) {
  const std::string& name = index.weights_file;
  if (index.weights_file_bytes > kBytesMax || (name.empty() && index.weights_file_bytes != 0)) {
    return fail("a weights file of " + std::to_string(index.weights_file_bytes) + " bytes");
  }
  const bool is_name = name != "." && name != ".." && name.find('/') == name.npos &&
                       name.find('\0') == name.npos && name.size() < 256;
  if (is_name) return {};
  return fail("weights file " + printable(name) + ": no name of a file");
}

Result<> check_models(const ArtefactIndex& index, Room& here, Room& weights) {
  std::set<std::string_view> ids;
  for (const ArtefactModel& model : index.models) {
    const std::string what = "model " + printable(model.id);
    if (!ids.insert(model.id).second) return fail(what + ": there twice");
    TRY(here.take(model.metadata, what + ", metadata"));
  }
  for (const ArtefactModel& model : index.models) {
    TRY(weights.take(model.weights, "model " + printable(model.id) + ", weights"));
  }
  return {};
}

Result<> check_trailer(const ArtefactTrailer& trailer, uint64_t file_bytes) {
  if (trailer.file_bytes != file_bytes) {
    return fail(std::to_string(file_bytes) + " bytes, expected " +
                std::to_string(trailer.file_bytes));
  }
  const uint64_t end = file_bytes - kArtefactTrailerBytes;
  const bool in_order = trailer.payload_offset % kArtefactAlignment == 0 &&
                        trailer.payload_offset <= trailer.index_offset &&
                        trailer.index_offset <= end &&
                        trailer.index_bytes == end - trailer.index_offset;
  if (in_order && trailer.index_bytes <= kArtefactIndexBytesMax) return {};
  return fail("an index of " + std::to_string(trailer.index_bytes) + " bytes at " +
              std::to_string(trailer.index_offset) + ", the trailer is at " + std::to_string(end));
}

}  // namespace

std::vector<std::byte> encode_artefact_index(const ArtefactIndex& index) {
  ByteEncoder encoder;
  put(encoder, index.plan);
  put(encoder, index.specification);
  encoder.text(index.weights_file);
  encoder.put(index.weights_file_bytes);
  encoder.put(static_cast<uint32_t>(index.models.size()));
  for (const ArtefactModel& model : index.models) {
    encoder.text(model.id);
    put(encoder, model.metadata);
    put(encoder, model.weights);
  }
  CHECK(encoder.bytes().size() <= kArtefactIndexBytesMax);
  return std::move(encoder.bytes());
}

std::array<std::byte, kArtefactTrailerBytes> encode_artefact_trailer(
    const ArtefactTrailer& trailer) {
  ByteEncoder encoder;
  encoder.raw(kMagic);
  encoder.put(kVersion);
  encoder.put(uint32_t{0});
  encoder.put(trailer.file_bytes);
  encoder.put(trailer.payload_offset);
  encoder.put(trailer.index_offset);
  encoder.put(trailer.index_bytes);
  encoder.put(trailer.index_hash);
  encoder.put(base::xxh64(encoder.bytes()));
  std::array<std::byte, kArtefactTrailerBytes> bytes{};
  CHECK(encoder.bytes().size() == bytes.size());
  std::ranges::copy(encoder.bytes(), bytes.begin());
  return bytes;
}

Result<std::optional<ArtefactTrailer>> parse_artefact_trailer(
    std::span<const std::byte, kArtefactTrailerBytes> end, uint64_t file_bytes) {
  ByteCursor cursor(end);
  const auto magic = TRY(cursor.take(kMagic.size(), "magic"));
  if (!std::ranges::equal(magic, std::as_bytes(std::span(kMagic)))) return std::nullopt;
  const auto version = TRY(cursor.read<uint32_t>("version"));
  if (version != kVersion) {
    return fail("an artefact of version " + std::to_string(version) + ", expected " +
                    std::to_string(kVersion),
                base::ErrorKind::kUnsupported);
  }
  TRY(cursor.read<uint32_t>("zero"));
  ArtefactTrailer trailer;
  trailer.file_bytes = TRY(cursor.read<uint64_t>("bytes of the file"));
  trailer.payload_offset = TRY(cursor.read<uint64_t>("offset of the plan"));
  trailer.index_offset = TRY(cursor.read<uint64_t>("offset of the index"));
  trailer.index_bytes = TRY(cursor.read<uint64_t>("bytes of the index"));
  trailer.index_hash = TRY(cursor.read<uint64_t>("hash of the index"));
  const auto hash = TRY(cursor.read<uint64_t>("hash of the trailer"));
  if (base::xxh64(end.first(kHashedBytes)) != hash) {
    return fail("its trailer is damaged: the hash differs");
  }
  TRY(check_trailer(trailer, file_bytes));
  return trailer;
}

Result<ArtefactIndex> parse_artefact_index(std::span<const std::byte> bytes,
                                           const ArtefactTrailer& trailer) {
  if (base::xxh64(bytes) != trailer.index_hash) {
    return fail("its index is damaged: the hash differs");
  }
  ByteCursor cursor(bytes);
  ArtefactIndex index = TRY(read_fields(cursor));
  TRY(check_weights_file(index));
  Room here(trailer.payload_offset, trailer.index_offset), beside(0, index.weights_file_bytes);
  TRY(here.take(index.plan, "plan"));
  TRY(here.take(index.specification, "specification"));
  TRY(check_models(index, here, index.weights_file.empty() ? here : beside));
  return index;
}

std::optional<uint64_t> executable_bytes(std::span<const std::byte, kElfHeaderBytes> header) {
  Elf64_Ehdr elf;
  static_assert(sizeof elf == kElfHeaderBytes);
  std::memcpy(&elf, header.data(), sizeof elf);
  const bool is_elf = std::memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 &&
                      elf.e_ident[EI_CLASS] == ELFCLASS64 && elf.e_ident[EI_DATA] == ELFDATA2LSB;
  if (!is_elf || elf.e_shoff == 0 || elf.e_shoff > kBytesMax) return std::nullopt;
  return elf.e_shoff + uint64_t{elf.e_shentsize} * elf.e_shnum;
}

}  // namespace neuros::formats
