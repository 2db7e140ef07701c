/// Decode kernels of types with codes of two bits and no sub-scales.

#include "kernels/cuda/decode_kernel.cuh"

namespace neuros::kernels::cuda {

using base::DType;

template void launch_decode<DType::kTQ1_0>(const OpContext&, const DecodeBatch&,
                                           const PreparedActivations*);

template void launch_decode<DType::kTQ2_0>(const OpContext&, const DecodeBatch&,
                                           const PreparedActivations*);

template void launch_decode<DType::kQ2_0>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ2_0_128>(const OpContext&, const DecodeBatch&,
                                              const PreparedActivations*);

}  // namespace neuros::kernels::cuda
