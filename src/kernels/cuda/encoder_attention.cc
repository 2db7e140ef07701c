#include "kernels/encoder_attention.h"

#include "base/check.h"
#include "kernels/cuda/encoder_attention_view.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"

#include <algorithm>
#include <numbers>

namespace neuros::kernels::cuda {

void encoder_attention(const OpContext& context, const EncoderAttentionArgs& args) {
  flush_pass(context);
  CHECK(args.head_dim >= 1 && args.head_dim <= kEncoderHeadDimMax && args.scale > 0.0f);
  EncoderView view{.q = args.q,
                   .k = args.k,
                   .v = args.v,
                   .out = args.out,
                   .q_stride = args.q_stride,
                   .k_stride = args.k_stride,
                   .v_stride = args.v_stride,
                   .out_stride = args.out_stride,
                   .heads = args.heads,
                   .head_dim = args.head_dim,
                   .scale = args.scale * std::numbers::log2e_v<float>};
  for (size_t first = 0; first + 1 < args.starts.size(); first += kEncoderItemsMax) {
    const size_t items = std::min<size_t>(kEncoderItemsMax, args.starts.size() - 1 - first);
    view.items = static_cast<int32_t>(items);
    std::ranges::copy(args.starts.subspan(first, items + 1), view.starts);
    if (view.starts[items] == view.starts[0]) continue;
    if (!encoder_attention_wgmma(context, view)) encoder_attention_plain(context, view);
  }
}

}  // namespace neuros::kernels::cuda
