/// Prompt rows by wgmma: weights of 4 to 6 bits in blocks of 256 with sub-scales.

#include "kernels/cuda/prefill_wgmma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma<DType::kQ5_K, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_K, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_K, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ6_K, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ6_K, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ6_K, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_XS, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_XS, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_XS, 256>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
