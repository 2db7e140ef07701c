#pragma once

/// The contract between builder/ (offline) and runtime/ (online): a program with every byte placed.

#include "base/dtype.h"
#include "plan/machine.h"
#include "plan/program.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::plan {

/// The largest batch the plan reserves for; the scheduler keeps within it.
struct BatchLimits {
  int32_t context = 0;       ///< positions of one sequence
  int32_t batch_tokens = 0;  ///< rows of one forward pass
  int32_t sequences = 0;     ///< processes in one forward pass
  int32_t logit_rows = 0;    ///< rows that get logits in one forward pass
};

/// One weight in its segment. Matrices are packed for their kernel, vectors stored as f32.
struct WeightPlacement {
  enum class Kind : uint8_t { kMatrix, kVector };
  bool is_quantised_at_boot() const { return kind == Kind::kMatrix && dtype != file_dtype; }
  std::string name;  ///< tensor of the checkpoint
  Kind kind = Kind::kMatrix;
  base::DType dtype = base::DType::kF32;       ///< of a matrix in memory, before it is packed
  base::DType file_dtype = base::DType::kF32;  ///< of the file; where it is another, boot quantises
  int64_t rows = 0, cols = 0;                  ///< a vector is [1, cols]
  int32_t segment = 0;  ///< which segment it lies in; others may refer to it (tied head)
  int64_t offset = 0;   ///< in the weight arena, a multiple of 64
  int64_t bytes = 0;
  int64_t file_bytes = 0;
  std::string kernel;  ///< chosen kernel, "" for a vector
};

/// Of segments, so that they are read from disk straight into the arena (formats/packed_weights.h).
inline constexpr int64_t kSegmentAlignment = 4096;

struct SegmentPlacement {
  std::string name;
  /// Contiguous part of the weight arena; both multiples of kSegmentAlignment. Each segment begins
  /// where the one before it ends, or, of a model that is paged, with the next frame of memory.
  int64_t offset = 0, bytes = 0;
};

/// Whose memory a pass works in.
enum class Region : uint8_t {
  kOwn,     ///< the model's own: its content stays whatever runs in between
  kShared,  ///< of all models of the device, in turn: its content is gone after every step
};

/// Of each part of the memory that passes work in.
inline constexpr int64_t kWorkAlignment = 256;
inline int64_t work_aligned(int64_t bytes) {
  return (bytes + kWorkAlignment - 1) / kWorkAlignment * kWorkAlignment;
}

struct ValuePlacement {
  std::string name;
  int64_t offset = 0, bytes = 0;      ///< in its region; lifetimes that do not meet share
  int32_t first_op = 0, last_op = 0;  ///< lifetime, as op numbers counted over all segments
  Region region = Region::kOwn;       ///< kShared: no step leaves it to the next
};

struct KvPlan {
  base::DType dtype = base::DType::kF16;
  int32_t page_tokens = 32;
  int32_t pages = 0;
  int64_t page_bytes = 0;  ///< all layers
  int32_t host_pages = 0;  ///< room in host memory for pages that leave the device
};

/// Weights go to a device with memory of its own through so much pinned memory, in parts.
inline constexpr int64_t kUploadBytes = int64_t{128} << 20;

/// Boot reads tensors in parts of whole rows, some of them ahead of the one that is packed. A
/// packed matrix of kPartRows rows ends where that of the next rows begins.
inline constexpr int64_t kSourcePartBytes = int64_t{8} << 20;
inline constexpr int kSourceParts = 6;
inline constexpr int64_t kPartRows = 64;
/// How many rows of a weight are one part: about kSourcePartBytes of its file.
int64_t source_part_rows(const WeightPlacement& weight);
/// Of the largest part there is.
int64_t source_part_bytes(const std::vector<WeightPlacement>& weights);

/// Predicted memory, bytes; what boot reserves is exactly arena_bytes() on the device, and `host`
/// and `kv_host` on the host.
/// The rest of the process has no arena and is an estimate.
struct MemoryPlan {
  int64_t weights = 0, kv = 0;
  int64_t activations = 0, scratch = 0;  ///< of passes and their kernels, the model's own
  /// What a pass needs of the region that models of one device take in turn, values first, then
  /// scratch; of a fleet the region, which is as large as its largest user needs.
  int64_t shared = 0;
  bool arenas_on_host = true;  ///< the device's memory is the host's
  int64_t driver = 0;          ///< what a GPU's driver takes of its memory besides the arenas
  int64_t host = 0;            ///< pinned, for copies to and from a device with memory of its own
  int64_t kv_host = 0;   ///< of KV pages that left the device; pinned for one with its own memory
  int64_t staging = 0;   ///< parts of tensors read ahead while weights are packed, and those of
                         ///< an upload
  int64_t metadata = 0;  ///< the file's header as read, until boot is done
  int64_t process = 0;   ///< vocabulary tables, the program's code, stacks
  int64_t arena_bytes() const { return weights + kv + activations + scratch + shared; }
  /// Of the process on the host, at rest and at most.
  int64_t steady_bytes() const {
    return (arenas_on_host ? arena_bytes() : 0) + host + kv_host + process;
  }
  int64_t peak_bytes() const { return steady_bytes() + staging + metadata; }
};

/// Which of several ways a product runs, where its kernels leave a choice
/// (docs/formats/kernel-choices.md). Ways differ in time, never in results.
struct KernelChoice {
  enum class Source : uint8_t {
    kEstimate,  ///< of the kernels, at each launch; the value is that for `tokens`
    kTable,     ///< measured ahead
  };
  std::string op;                         ///< "prompt"
  base::DType dtype = base::DType::kF32;  ///< of the weights
  int64_t rows = 0, cols = 0;             ///< of all matrices of a launch together
  int64_t tokens = 0;                     ///< the most of its bucket
  int32_t value = 0;
  Source source = Source::kEstimate;
};

struct Plan {
  Program program;
  std::string model_path;
  std::string device;       ///< "cpu"
  std::string device_kind;  ///< "sm_90/132"; "": no choices are kept for it
  std::string op_table;     ///< "cpu-vnni+bf16"
  int32_t workers = 1;
  MachineFacts machine;  ///< what it counts on; boot refuses a machine that has less
  BatchLimits limits;
  KvPlan kv;
  std::vector<SegmentPlacement> segments;  ///< one per program segment
  std::vector<WeightPlacement> weights;
  std::vector<ValuePlacement> values;        ///< one per program value
  std::vector<KernelChoice> kernel_choices;  ///< buckets of a launch one after another
  MemoryPlan memory;
  std::vector<std::string> reasons;  ///< why it came out so, for `neuros plan`

  const WeightPlacement* find_weight(const std::string& name) const;
  /// Of all matrices: the most columns, and the most rows.
  int64_t widest_cols() const;
  int64_t widest_rows() const;
  /// Where values end in the shared region, and the kernels' scratch begins there.
  int64_t shared_value_bytes() const;
};

/// The segments of weights that one step of a pass, a segment of the program, reads; in order, each
/// once.
std::vector<int32_t> segments_read(const Plan& plan, const Segment& step);

/// The choices of a plan as a page shows them, a line for each launch; "": there are none.
std::string describe_choices(const Plan& plan);

/// A page a person reads; and the same as JSON.
std::string describe(const Plan& plan);
std::string describe_json(const Plan& plan);

}  // namespace neuros::plan
