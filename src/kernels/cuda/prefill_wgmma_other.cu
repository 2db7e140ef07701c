/// Prompt rows by wgmma: weights of 8 and 2 bits.

#include "kernels/cuda/prefill_wgmma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma<DType::kQ8_0, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ8_0, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ8_0, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kTQ2_0, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kTQ2_0, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kTQ2_0, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0_128, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0_128, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ2_0_128, 256>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
