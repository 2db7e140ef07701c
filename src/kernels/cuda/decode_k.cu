/// Decode kernels of the K types and IQ4_XS but for those in decode_k_low.cu.

#include "kernels/cuda/decode_kernel.cuh"

namespace neuros::kernels::cuda {

using base::DType;

template void launch_decode<DType::kQ4_K>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ5_K>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kQ6_K>(const OpContext&, const DecodeBatch&,
                                          const PreparedActivations*);

template void launch_decode<DType::kIQ4_XS>(const OpContext&, const DecodeBatch&,
                                            const PreparedActivations*);

}  // namespace neuros::kernels::cuda
