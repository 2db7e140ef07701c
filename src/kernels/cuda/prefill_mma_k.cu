/// Prompt rows by mma.sync: weights in blocks of 256 with sub-scales.

#include "kernels/cuda/prefill_mma.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_mma<DType::kQ2_K>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ3_K>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ4_K>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ5_K>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kQ6_K>(const OpContext&, const ProductArgs&);
template void launch_mma<DType::kIQ4_XS>(const OpContext&, const ProductArgs&);

}  // namespace neuros::kernels::cuda::prefill
