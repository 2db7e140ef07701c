/// Decode kernels of Q2_K and Q3_K.

#include "kernels/cuda/decode_kernel.cuh"

namespace neuros::kernels::cuda {

using base::DType;

template void launch_decode<DType::kQ2_K>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ3_K>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

}  // namespace neuros::kernels::cuda
