#pragma once

/// Where what is in a built artefact: docs/formats/artefact.md.

#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace neuros::formats {

/// What parts begin at multiples of.
inline constexpr uint64_t kArtefactAlignment = 4096;
inline constexpr uint64_t kArtefactIndexBytesMax = uint64_t{1} << 20;
inline constexpr size_t kArtefactModelsMax = 64;
inline constexpr size_t kArtefactTrailerBytes = 64;

/// Some bytes of the artefact, or of its weights file.
struct ArtefactPart {
  uint64_t offset = 0, bytes = 0;
  uint64_t hash = 0;  ///< of all of them; of packed weights, of their header

  uint64_t end() const { return offset + bytes; }
};

struct ArtefactModel {
  std::string id;
  ArtefactPart metadata;
  ArtefactPart weights;  ///< a file of packed weights
};

struct ArtefactIndex {
  ArtefactPart plan, specification;
  std::string weights_file;  ///< name of the file beside it that has the weights; "": none
  uint64_t weights_file_bytes = 0;
  std::vector<ArtefactModel> models;
};

struct ArtefactTrailer {
  uint64_t file_bytes = 0;
  uint64_t payload_offset = 0;  ///< where the plan begins, behind the executable
  uint64_t index_offset = 0, index_bytes = 0, index_hash = 0;
};

std::vector<std::byte> encode_artefact_index(const ArtefactIndex& index);
std::array<std::byte, kArtefactTrailerBytes> encode_artefact_trailer(
    const ArtefactTrailer& trailer);

/// Of the last bytes of a file of `file_bytes`; nullopt: there is no artefact before them.
base::Result<std::optional<ArtefactTrailer>> parse_artefact_trailer(
    std::span<const std::byte, kArtefactTrailerBytes> end, uint64_t file_bytes);

/// All parts lie where the trailer leaves room for them, in order.
base::Result<ArtefactIndex> parse_artefact_index(std::span<const std::byte> index,
                                                 const ArtefactTrailer& trailer);

inline constexpr size_t kElfHeaderBytes = 64;
/// How long the ELF file is that begins with `header`, up to the end of its table of sections,
/// which linkers write last; nullopt: not known.
std::optional<uint64_t> executable_bytes(std::span<const std::byte, kElfHeaderBytes> header);

}  // namespace neuros::formats
