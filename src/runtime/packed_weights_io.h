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

  const formats::PackedWeightsHeader& header() const { return header_; }
  /// Where the first segment begins.
  uint64_t data_offset() const { return file_.size() - header_.data_bytes(); }
  const base::DirectFile& file() const { return file_; }

 private:
  PackedWeightsFile(base::DirectFile file, formats::PackedWeightsHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}

  base::DirectFile file_;
  formats::PackedWeightsHeader header_;
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

/// How many bytes that file has.
uint64_t packed_weights_file_bytes(const PackedWeightsLabel& label, const plan::Plan& plan);

}  // namespace neuros::runtime
