#pragma once

/// The matrix products of the CPU backend, and the seam that fused ops are built on.
///
/// A product has two steps: `prepare` brings the activations into the form a weight type wants
/// (normalised, quantised, and grouped so that one token group is one contiguous run), and
/// `multiply` runs any number of matrices over them in one parallel section. `linear_tasks` and
/// `linear_swiglu` do both.

#include "base/cpu_features.h"
#include "base/dtype.h"
#include "base/thread_pool.h"
#include "kernels/linear.h"
#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cpu {

/// The instruction sets that have kernels of their own, in rising order.
enum class Engine : uint8_t { kGeneric, kAvx2, kAvx512, kVnni, kVnniBf16, kAmx };
inline constexpr int kEngineCount = 6;

/// The best engine for the features.
Engine engine_for(const base::CpuFeatures& features);
const char* name(Engine engine);

/// The row of `dtype` in an engine's op table.
LinearKernel linear_kernel(Engine engine, base::DType dtype);

/// The rows that are multiplied: row i is x + (rows.empty() ? i : rows[i]) * cols, normalised as by
/// RmsNormArgs if norm_weight is given.
struct ActivationSource {
  const float* x = nullptr;
  std::span<const int32_t> rows = {};
  const float* norm_weight = nullptr;  ///< [cols] or null
  float epsilon = 1e-5f;
  int64_t tokens = 0;
  int64_t cols = 0;
};

/// y[t * y_stride + row] = (W x_t)[row] + bias[row] + residual[t * y_stride + row]
struct LinearTask {
  PackedMatrix weight;
  const float* bias = nullptr;      ///< [rows] or null
  const float* residual = nullptr;  ///< strided like y, or null; may be y
  float* y = nullptr;
  int64_t y_stride = 0;  ///< floats from one token's output to the next; usually rows
};

/// All tasks over the same activations, usually in one parallel section. Up to 8 tasks; their
/// weights have source.cols columns.
void linear_tasks(Engine engine, const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks);

/// out[t * rows + i] = silu(gate row i of x_t) * (up row i of x_t), in one parallel section.
void linear_swiglu(Engine engine, const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out);

/// Scratch that suffices for each of the calls above within the limits.
int64_t linear_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cpu
