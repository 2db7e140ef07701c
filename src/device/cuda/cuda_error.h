#pragma once

#include "base/result.h"

#include <string>

#include <cuda_runtime.h>

namespace neuros::device {

/// "cuda:0: an illegal memory access was encountered", or nothing.
inline base::Result<> cuda_result(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return {};
  const auto kind =
      error == cudaErrorMemoryAllocation ? base::ErrorKind::kOutOfMemory : base::ErrorKind::kIo;
  return base::fail(what + ": " + cudaGetErrorString(error), kind);
}

}  // namespace neuros::device
