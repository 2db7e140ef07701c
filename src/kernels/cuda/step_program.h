#pragma once

/// A decode pass of one row as one launch. The ops of a pass, given a StepProgram, add what they
/// would have launched to it; what the whole pass (or a run of its ops) adds up to is then one
/// kernel whose blocks stay on the chip from the first layer to the last (step_kernel.cu). Weights
/// depend on nothing: while blocks wait for each other between two phases, the next phases' weights
/// are already on their way.
///
/// Same bits as the launches it stands for.

#include "kernels/batch_view.h"
#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/decode_parameters.h"
#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/pass_ops.h"
#include "kernels/op_context.h"
#include "kernels/qkv_rope.h"

#include <cstddef>
#include <cstdint>
#include <span>

#include <vector_types.h>

namespace neuros::kernels::cuda {

/// Positions up to which a block's four warps read their splits' keys and values fast enough.
inline constexpr int32_t kStepPositionsMax = 16384;
inline constexpr int32_t kStepPagesMax = kStepPositionsMax / 16;

/// Where in a launch's set of words a row begins that one phase leaves to later ones
/// (step_signals.cuh); negative: nowhere.
using StepWords = int32_t;
inline constexpr StepWords kNoWords = -1;

/// One matrix of a phase: y = W x + bias (+ residual, of the phase).
struct StepTask {
  const std::byte* weight = nullptr;  ///< panels
  const float* bias = nullptr;        ///< [rows] or null
  float* y = nullptr;                 ///< [rows]
  StepWords y_words = kNoWords;       ///< the same for later phases
  int32_t rows = 0;
  uint16_t chunks = 0;      ///< of a panel
  uint8_t chunk_units = 0;  ///< bytes of a chunk / 16
  base::DType dtype = base::DType::kF32;
};

/// Panels are dealt to blocks in turn: a block gets `each`, and one more if it is among the first
/// `rest`.
struct StepShare {
  uint16_t each = 0, rest = 0;
};

enum class StepKind : uint8_t { kProduct, kAttention };

/// Matrices of one kind of activations over the same row.
struct StepProduct {
  StepKind kind = StepKind::kProduct;
  int8_t task_count = 0;
  int8_t log_groups = 0;      ///< of columns (column_groups())
  bool gated : 1 = false;     ///< tasks are gate and up; y is up's
  bool is_mixed : 1 = false;  ///< tasks are of different types
  bool attention_is_next : 1 = false;
  bool attention_is_after_next : 1 = false;
  int32_t cols = 0;
  StepTask tasks[kTasksMax];
  StepShare shares[kTasksMax];  ///< of the panels up to the end of each task
  StepWords x_words = kNoWords;
  const float* x = nullptr;  ///< where there are no words of it
  const float* norm_weight = nullptr;
  const float* residual = nullptr;  ///< of the only task
  StepWords residual_words = kNoWords;
  float epsilon = 0.0f;
};

/// Heads of a layer finished, and attention over its pages.
struct StepAttention {
  StepKind kind = StepKind::kAttention;
  StepWords q_words = kNoWords;  ///< as the phase before left them
  StepWords k_words = kNoWords;
  StepWords v_words = kNoWords;
  StepWords out_words = kNoWords;
  float* out = nullptr;
  const float* q_norm = nullptr;  ///< or null
  const float* k_norm = nullptr;
  std::byte* layer = nullptr;  ///< this layer of page 0
  int32_t window = 0;
};

/// Both begin with their kind.
union StepPhase {
  StepProduct product;
  StepAttention attention;

  StepPhase() : product() {}
  constexpr StepKind kind() const { return product.kind; }
};

/// What all attention phases of a launch have in common; their own fields are not set here.
struct StepHeads {
  HeadsView heads;
  AttentionView attention;
  base::DType dtype = base::DType::kF16;  ///< of the pages
  int32_t head_blocks = 1;                ///< of a KV head: up to eight query heads each
  int32_t splits = 1;                     ///< room for so many in the sums
  std::byte* sums = nullptr;              ///< [heads, splits] split_sums_bytes()

  bool operator==(const StepHeads&) const = default;
};

/// Bytes of what a split leaves of one head: pairs of sums, and its largest score with the sum of
/// the powers, each with its number (step_attention.cuh).
constexpr int64_t split_sums_bytes(int64_t head_dim) {
  return (head_dim / 2 + 1) * 16;
}

/// What passes keep from one to the next; zeros at boot.
struct StepState {
  uint32_t launches;       ///< that are over
  uint32_t left;           ///< blocks that have left the current one
  uint32_t words_used[2];  ///< of each set
};

inline constexpr int kStepPhasesMax = 183;

/// Parameters of the kernel: at most 32764 bytes.
struct StepLaunch {
  StepPhase phases[kStepPhasesMax];
  StepHeads heads;
  StepState* state = nullptr;
  uint32_t* sets = nullptr;  ///< two sets of words, which launches use in turn
  int32_t set_words = 0;     ///< that a set has room for
  int32_t words = 0;         ///< that this launch uses
  int32_t phase_count = 0;
  int32_t chunk_bytes_max = 0;
  int32_t ring_bytes = 0;
  int32_t area_bytes = 0;   ///< for prepared activations, or a tile of keys and values
  int32_t tile_offset = 0;  ///< in the area, behind the activations of the heads' products
  ActivationKind activations = ActivationKind::kQ8;  ///< of all its matrices
};
static_assert(sizeof(StepLaunch) <= 32764);

/// Decides the rings and launches.
void launch_step(const OpContext& context, StepLaunch& launch);

/// Collects: matrices of one kind of activations to a launch. An op first asks add(): false means
/// that what was added before has been launched and the op must launch itself.
class StepProgram final : public PassOps {
 public:
  explicit StepProgram(const OpContext& context);

  /// Whether this GPU has the kernel and the pass is one for it: one decode row, of a context that
  /// one block of a few warps per split reads fast enough.
  static bool takes(const BatchView& view);

  bool add(const ActivationSource& source, std::span<const LinearTask> tasks);
  bool add_gated(const ActivationSource& source, const PackedMatrix& gate, const PackedMatrix& up,
                 float* out);
  bool add(const QkvRopeArgs& args);
  bool add(const AttentionArgs& args);
  /// Launches what there is.
  void flush() override;

 private:
  /// Whether the kernel takes a matrix of that kind of activations, is to, and what was added
  /// before is of that kind too.
  bool takes_matrix(const PackedMatrix& weight, ActivationKind kind) const;
  void append(StepProduct product);
  void append(const StepPhase& phase, int64_t area_bytes);
  /// To the products before the next phase, which is attention.
  void announce_attention();
  /// False: the launch has attention of another kind.
  bool set_common(StepHeads& common);
  /// Words of a row that an earlier phase of this launch left in `row`; kNoWords: none did. From
  /// then on the phase leaves them.
  StepWords words_of(const float* row);
  bool has_words_for(int64_t count) const;
  StepWords new_words(int64_t count);

  const OpContext& context_;
  StepLaunch launch_;
  bool has_attention_ = false;
  // Of the last product, where its heads are not finished.
  QkvRopeArgs heads_;
  HeadsView unfinished_;
  bool heads_pending_ = false;
};

/// The program that collects, or null.
inline StepProgram* step_program(const OpContext& context) {
  return dynamic_cast<StepProgram*>(context.fusion);
}

/// What a pass needs of the ops' scratch as one launch: keys and values of the row.
int64_t step_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cuda
