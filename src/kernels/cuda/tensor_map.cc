#include "kernels/cuda/tensor_map.h"

#include "base/check.h"

#include <string>

#include <cuda_runtime.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int64_t kElementBytes = 2;

using Encode = decltype(&cuTensorMapEncodeTiled);

/// The driver's function: the program is not linked to the driver, as it starts without a GPU too.
Encode encode_function() {
  static const Encode function = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    constexpr unsigned kVersion = 12000;
    const cudaError_t error = cudaGetDriverEntryPointByVersion(
        "cuTensorMapEncodeTiled", &found, kVersion, cudaEnableDefault, &result);
    CHECK(error == cudaSuccess, cudaGetErrorString(error));
    CHECK(result == cudaDriverEntryPointSuccess && found != nullptr,
          "the driver has no tensor maps");
    return reinterpret_cast<Encode>(found);
  }();
  return function;
}

bool is_unit(int64_t bytes) {
  return bytes % 16 == 0;
}

}  // namespace

bool can_map(const TensorBoxes& boxes) {
  return is_unit(static_cast<int64_t>(reinterpret_cast<uintptr_t>(boxes.data))) &&
         is_unit(boxes.stride * kElementBytes) && is_unit(boxes.item_stride * kElementBytes);
}

CUtensorMap tensor_map(const TensorBoxes& boxes, int rank) {
  CHECK((rank == 2 || rank == 3) && can_map(boxes) && boxes.box_cols * kElementBytes == 128);
  const cuuint64_t sizes[3]{static_cast<cuuint64_t>(boxes.cols),
                            static_cast<cuuint64_t>(boxes.rows),
                            static_cast<cuuint64_t>(boxes.items)};
  const cuuint64_t strides[2]{static_cast<cuuint64_t>(boxes.stride * kElementBytes),
                              static_cast<cuuint64_t>(boxes.item_stride * kElementBytes)};
  // The box is given as what it spans.
  const cuuint32_t box[3]{static_cast<cuuint32_t>(boxes.box_cols),
                          static_cast<cuuint32_t>(boxes.box_rows * boxes.row_step), 1};
  const cuuint32_t steps[3]{1, static_cast<cuuint32_t>(boxes.row_step), 1};
  CUtensorMap map{};
  const CUresult result =
      encode_function()(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, static_cast<cuuint32_t>(rank),
                        const_cast<void*>(boxes.data), sizes, strides, box, steps,
                        CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CHECK(result == CUDA_SUCCESS,
        ("cuTensorMapEncodeTiled: error " + std::to_string(static_cast<int>(result))).c_str());
  return map;
}

}  // namespace neuros::kernels::cuda
