#include "kernels/testing/cuda_table.h"

#include "base/check.h"
#include "device/cuda_device.h"

namespace neuros::kernels::testing {
namespace {

using Table = const OpTable* (*)();

template <typename Op, typename Args>
void stage_and_run(Op op, const OpContext& context, const Args& args, const BatchView& view) {
  cuda_ops()->stage_batch(context, view);
  op(context, args);
  const auto done = context.stream.synchronize();
  CHECK(done.has_value(), done.error().message.c_str());
}

template <Table kOf>
OpTable make_table() {
  OpTable table = *kOf();
  table.embed = [](const OpContext& context, const EmbedArgs& args) {
    stage_and_run(kOf()->embed, context, args,
                  {.ids = args.ids, .sequences = {}, .logit_rows = {}});
  };
  table.rms_norm = [](const OpContext& context, const RmsNormArgs& args) {
    stage_and_run(kOf()->rms_norm, context, args, {});
  };
  table.rope_table = [](const OpContext& context, const RopeTableArgs& args) {
    stage_and_run(kOf()->rope_table, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.qkv_rope = [](const OpContext& context, const QkvRopeArgs& args) {
    stage_and_run(kOf()->qkv_rope, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.attention = [](const OpContext& context, const AttentionArgs& args) {
    stage_and_run(kOf()->attention, context, args,
                  {.ids = {}, .sequences = args.sequences, .logit_rows = {}});
  };
  table.gate_up = [](const OpContext& context, const GateUpArgs& args) {
    stage_and_run(kOf()->gate_up, context, args, {});
  };
  table.logits = [](const OpContext& context, const LogitsArgs& args) {
    stage_and_run(kOf()->logits, context, args,
                  {.ids = {}, .sequences = {}, .logit_rows = args.rows});
  };
  table.top_logits = [](const OpContext& context, const TopLogitsArgs& args) {
    stage_and_run(kOf()->top_logits, context, args, {});
  };
  table.conv1d_gelu = [](const OpContext& context, const Conv1dGeluArgs& args) {
    stage_and_run(kOf()->conv1d_gelu, context, args, {});
  };
  table.encoder_attention = [](const OpContext& context, const EncoderAttentionArgs& args) {
    stage_and_run(kOf()->encoder_attention, context, args, {});
  };
  for (LinearKernel& kernel : table.linear) {
    if (!kernel) continue;
    kernel.run = [](const OpContext& context, const LinearArgs& args) {
      stage_and_run(kOf()->linear_for(args.weight.dtype).run, context, args, {});
    };
  }
  return table;
}

template <Table kOf>
const OpTable* synchronous() {
  if (kOf() == nullptr || test_gpu() == nullptr) return nullptr;
  static const OpTable table = make_table<kOf>();
  return &table;
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
  return synchronous<cuda_ops>();
}

const OpTable* synchronous_cuda_llama_cpp_ops() {
  return synchronous<cuda_llama_cpp_ops>();
}

}  // namespace neuros::kernels::testing
