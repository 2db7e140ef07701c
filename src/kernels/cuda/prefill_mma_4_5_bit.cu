/// Prompt rows by mma.sync: weights of 4 and 5 bits in blocks of 32.

#include "kernels/cuda/prefill_mma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_mma<DType::kQ4_0>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ4_1>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ5_0>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ5_1>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kIQ4_NL>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
