/// Prompt rows by wgmma: weights of 16 bits.

#include "kernels/cuda/prefill_wgmma_halves.cuh"

namespace neuros::kernels::cuda::prefill {

using base::DType;

template void launch_wgmma_halves<DType::kF16, 2, 64, 1>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 2, 128, 1>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 2, 256, 2>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 3, 256, 2>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 2, 256, 4>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kF16, 3, 256, 4>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 64, 1>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 128, 1>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 256, 2>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 3, 256, 2>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 2, 256, 4>(const OpContext&, const ProductArgs&);
template void launch_wgmma_halves<DType::kBF16, 3, 256, 4>(const OpContext&, const ProductArgs&);

int large_clusters() {
  static const int clusters =
      std::min(halves_clusters<DType::kBF16, kLowStrips, kWgmmaTokensMax, kLargeCluster>(),
               halves_clusters<DType::kBF16, kTallStrips, kWgmmaTokensMax, kLargeCluster>());
  return clusters;
}

}  // namespace neuros::kernels::cuda::prefill
