#pragma once

/// The weights of a plan as they come from the checkpoint's files.

#include "base/mapped_file.h"
#include "base/part_pipeline.h"
#include "base/result.h"
#include "formats/checkpoint.h"
#include "plan/plan.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace neuros::runtime {

/// Rows of one weight that are read together.
struct SourcePart {
  const plan::WeightPlacement* weight = nullptr;
  int64_t first_row = 0, rows = 0;
  std::span<const std::byte> bytes;        ///< mapped, or memory
  const base::MappedFile* file = nullptr;  ///< null: the bytes are memory
};

/// Every weight in the plan's order, cut by plan::source_part_rows. Fails, naming the tensor, where
/// the checkpoint is not what the plan was made for. `plan` and `checkpoint` outlive the parts.
base::Result<std::vector<SourcePart>> list_source_parts(const plan::Plan& plan,
                                                        const formats::Checkpoint& checkpoint);

/// Maps parts ahead of who packs them, whole ones at a time and on several threads, so that packing
/// waits for the disk and not for one page after the other. Lets go of them afterwards: no more
/// than plan::kSourceParts are in this process's memory.
class WeightSource {
 public:
  explicit WeightSource(std::vector<SourcePart> parts);

  const std::vector<SourcePart>& parts() const { return parts_; }
  /// The bytes of part `index`; parts are taken in order, each once, and last until the next call.
  base::Result<std::span<const std::byte>> take(size_t index);

 private:
  std::vector<SourcePart> parts_;
  base::PartPipeline pipeline_;  ///< last: its threads use the parts
};

}  // namespace neuros::runtime
