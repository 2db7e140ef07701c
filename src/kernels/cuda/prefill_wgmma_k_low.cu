/// Prompt rows by wgmma: weights of 2 to 4 bits in blocks of 256 with sub-scales.

#include "kernels/cuda/prefill_wgmma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma<DType::kQ2_K, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_K, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_K, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ3_K, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ3_K, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ3_K, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_K, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_K, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_K, 256>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
