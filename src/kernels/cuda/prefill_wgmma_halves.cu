/// Prompt rows by wgmma: weights of 16 bits.

#include "kernels/cuda/prefill_wgmma_halves.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma_halves<DType::kF16, 2, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 2, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 2, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 3, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 3, 256>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
