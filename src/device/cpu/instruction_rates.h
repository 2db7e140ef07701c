#pragma once

/// Loops of one arithmetic instruction on registers, for measuring what a core issues at best.

#include "base/cpu_features.h"

#include <cstddef>
#include <cstdint>

namespace neuros::device {

/// Runs `rounds` rounds; `operations` is what one round counts. Null: not at this level.
struct InstructionLoop {
  void (*run)(int64_t rounds) = nullptr;
  double operations = 0;
};

InstructionLoop f32_loop(const base::CpuFeatures& features);
InstructionLoop bf16_loop(const base::CpuFeatures& features);
InstructionLoop int8_loop(const base::CpuFeatures& features);

/// Reads [data, data + bytes) with the widest loads of the level; returns a value that depends on
/// all.
uint64_t stream_read(const base::CpuFeatures& features, const std::byte* data, int64_t bytes);

}  // namespace neuros::device
