/// Decode kernels of types with blocks of 32 values.

#include "kernels/cuda/decode_kernel.cuh"

namespace neuros::kernels::cuda {

using base::DType;

template void launch_decode<DType::kQ4_0>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ4_1>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ5_0>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ5_1>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ8_0>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kIQ4_NL>(const OpContext&, const DecodeBatch&,
                                            const PreparedActivations*);

}  // namespace neuros::kernels::cuda
