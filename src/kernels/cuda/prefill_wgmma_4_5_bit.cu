/// Prompt rows by wgmma: weights of 4 and 5 bits in blocks of 32.

#include "kernels/cuda/prefill_wgmma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma<DType::kQ4_0, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_0, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_0, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_1, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_1, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ4_1, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_0, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_0, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_0, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_1, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_1, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kQ5_1, 256>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_NL, 64>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_NL, 128>(const OpContext&, const ProductArgs&);
template void launch_wgmma<DType::kIQ4_NL, 256>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
