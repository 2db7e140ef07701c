#pragma once

/// Files of packed weights (docs/formats/weight-cache.md), to and from an arena.

#include "base/direct_file.h"
#include "base/result.h"
#include "formats/packed_weights.h"
#include "plan/plan.h"
#include "runtime/load_progress.h"
#include "runtime/upload_ring.h"
#include "runtime/weight_target.h"

#include <cstdint>
#include <string>

namespace neuros::runtime {

/// A file of packed weights whose header has been read.
class PackedWeightsFile {
 public:
  static base::Result<PackedWeightsFile> open(const std::string& path);
  /// One that is a part of another file, as of an artefact; `offset` is a multiple of
  /// formats::kPackedAlignment.
  static base::Result<PackedWeightsFile> open_part(const std::string& path, uint64_t offset,
                                                   uint64_t bytes);

  const formats::PackedWeightsHeader& header() const { return header_; }
  /// XXH64 of the header's bytes, which have the hashes of all segments.
  uint64_t header_hash() const { return header_hash_; }
  /// Where the first segment begins.
  uint64_t data_offset() const { return end_ - header_.data_bytes(); }
  const base::DirectFile& file() const { return file_; }

 private:
  PackedWeightsFile(base::DirectFile file, formats::PackedWeightsHeader header,
                    uint64_t header_hash, uint64_t end)
      : file_(std::move(file)), header_(std::move(header)), header_hash_(header_hash), end_(end) {}
  static base::Result<PackedWeightsFile> read(base::DirectFile file, uint64_t offset,
                                              uint64_t bytes);

  base::DirectFile file_;
  formats::PackedWeightsHeader header_;
  uint64_t header_hash_;
  uint64_t end_;  ///< of the last segment, in the file
};

/// Fails unless the file has just the segments of the plan.
base::Result<> check_segments(const PackedWeightsFile& file, const plan::Plan& plan);

/// Reads all segments to their places in the arena, several parts at a time, each hashed by the
/// thread that read it; on a device with memory of its own, reading and copying overlap. Fails,
/// naming the segment, where a hash differs; the arena then holds anything. The file's segments
/// must be the plan's.
base::Result<> read_packed_weights(const PackedWeightsFile& file, const plan::Plan& plan,
                                   const WeightTarget& target, const OnLoadProgress& on_progress);

/// The same of one segment, to `place`; the last copies may still be on their way when it returns,
/// also with an error. `ring`, of parts of formats::kPackedPartBytes, for a device with memory of
/// its own, else null.
base::Result<> read_packed_segment(const PackedWeightsFile& file, size_t index, std::byte* place,
                                   UploadRing* ring);

/// Which weights a file is to hold.
struct PackedWeightsLabel {
  uint64_t key = 0;
  std::string made_for;
};

/// Writes the arena's segments under a temporary name and renames it to `path`; on failure nothing
/// is left.
base::Result<> write_packed_weights(const std::string& path, const PackedWeightsLabel& label,
                                    const plan::Plan& plan, const WeightTarget& target,
                                    const OnLoadProgress& on_progress);

/// The same into a part of `file`, from a multiple of formats::kPackedAlignment on; returns the
/// hash of the header.
base::Result<uint64_t> write_packed_weights_at(const base::DirectFile& file, uint64_t offset,
                                               const PackedWeightsLabel& label,
                                               const plan::Plan& plan, const WeightTarget& target,
                                               const OnLoadProgress& on_progress);

/// How many bytes that file, or part, has.
uint64_t packed_weights_file_bytes(const PackedWeightsLabel& label, const plan::Plan& plan);

}  // namespace neuros::runtime
