/// Prompt rows by mma.sync: weights of 16, 8 and 2 bits.

#include "kernels/cuda/prefill_mma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_mma<DType::kF16>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kBF16>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ8_0>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kTQ2_0>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ2_0>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ2_0_128>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
