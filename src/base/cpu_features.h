#pragma once

/// What this processor can execute, and the level kernels are chosen by.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace neuros::base {

/// Each level includes the ones before it. `NEUROS_CPU=avx2` caps the level (spelled as in name()).
enum class CpuLevel {
  kGeneric,  ///< what the compiler's baseline gives (SSE2 on x86-64)
  kAvx2,     ///< AVX2, FMA, F16C
  kAvx512,   ///< AVX-512 F, BW, DQ, VL, CD
  kVnni,     ///< and VNNI (vpdpbusd)
  kAmx,      ///< and AMX tiles: int8 and bf16
};
std::string_view name(CpuLevel level);

struct CpuFeatures {
  CpuLevel level = CpuLevel::kGeneric;
  bool avx512_bf16 = false;  ///< vdpbf16ps; independent of the level, but only with kVnni or above
  std::string brand;

  /// "generic avx2 avx512 vnni (bf16)": every level at or below `level`.
  std::vector<CpuLevel> levels() const;
};

/// The processor's features; AMX only if the kernel grants the tile state to this process.
CpuFeatures detect_cpu();

/// detect_cpu() capped by the environment variable NEUROS_CPU; an unknown name or one above the
/// processor's level fails and lists the levels there are.
base::Result<CpuFeatures> chosen_cpu();

}  // namespace neuros::base
