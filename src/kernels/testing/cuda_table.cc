#include "kernels/testing/cuda_table.h"

#include "base/check.h"
#include "device/cuda_device.h"

namespace neuros::kernels::testing {
namespace {

template <typename Op, typename Args>
void stage_and_run(Op op, const OpContext& context, const Args& args, const BatchView& view) {
  cuda_ops()->stage_batch(context, view);
  op(context, args);
  const auto done = context.stream.synchronize();
  CHECK(done.has_value(), done.error().message.c_str());
}

OpTable make_table() {
  OpTable table = *cuda_ops();
  table.embed = [](const OpContext& context, const EmbedArgs& args) {
    stage_and_run(cuda_ops()->embed, context, args,
                  {.ids = args.ids, .sequences = {}, .logit_rows = {}});
  };
  table.rms_norm = [](const OpContext& context, const RmsNormArgs& args) {
    stage_and_run(cuda_ops()->rms_norm, context, args, {});
  };
  table.rope_table = [](const OpContext& context, const RopeTableArgs& args) {
    stage_and_run(cuda_ops()->rope_table, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.qkv_rope = [](const OpContext& context, const QkvRopeArgs& args) {
    stage_and_run(cuda_ops()->qkv_rope, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.attention = [](const OpContext& context, const AttentionArgs& args) {
    stage_and_run(cuda_ops()->attention, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.gate_up = [](const OpContext& context, const GateUpArgs& args) {
    stage_and_run(cuda_ops()->gate_up, context, args, {});
  };
  table.logits = [](const OpContext& context, const LogitsArgs& args) {
    stage_and_run(cuda_ops()->logits, context, args,
                  {.ids = {}, .sequences = {}, .logit_rows = args.rows});
  };
  table.top_logits = [](const OpContext& context, const TopLogitsArgs& args) {
    stage_and_run(cuda_ops()->top_logits, context, args, {});
  };
  table.conv1d_gelu = [](const OpContext& context, const Conv1dGeluArgs& args) {
    stage_and_run(cuda_ops()->conv1d_gelu, context, args, {});
  };
  table.encoder_attention = [](const OpContext& context, const EncoderAttentionArgs& args) {
    stage_and_run(cuda_ops()->encoder_attention, context, args, {});
  };
  for (LinearKernel& kernel : table.linear) {
    if (!kernel) continue;
    kernel.run = [](const OpContext& context, const LinearArgs& args) {
      stage_and_run(cuda_ops()->linear_for(args.weight.dtype).run, context, args, {});
    };
  }
  return table;
}

}  // namespace

device::Device* test_gpu() {
  static const std::unique_ptr<device::Device> gpu = [] {
    auto opened = device::open_cuda_device({});
    return opened ? std::move(*opened) : nullptr;
  }();
  return gpu.get();
}

const OpTable* synchronous_cuda_ops() {
  if (cuda_ops() == nullptr || test_gpu() == nullptr) return nullptr;
  static const OpTable table = make_table();
  return &table;
}

}  // namespace neuros::kernels::testing
