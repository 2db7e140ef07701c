#pragma once

/// A random Llama of a few layers in memory, and plans for it with limits of the test's choice.

#include "base/check.h"
#include "builder/builder.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "kernels/op_table.h"
#include "kernels/quantise.h"
#include "models/registry.h"
#include "plan/plan.h"

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace neuros::testing {

struct TinyLimits {
  int32_t context = 128;
  int32_t batch_tokens = 16;
  int32_t sequences = 4;
  int32_t pages = 64;
  int32_t page_tokens = 16;  ///< the CPU tables take multiples of 16 only
  int32_t host_pages = 0;
  plan::Region step_memory = plan::Region::kOwn;
};

struct TinyShape {
  int64_t hidden = 32, feed_forward = 64;  ///< multiples of 32
  int layers = 2;
  base::DType down = base::DType::kQ8_0;  ///< type of the last matrix of a layer
};

class TinyModel {
 public:
  static constexpr int32_t kVocabulary = 90;

  explicit TinyModel(uint32_t seed = 1234, const TinyShape& shape = {}) : random_(seed) {
    const int64_t hidden = shape.hidden, feed_forward = shape.feed_forward;
    checkpoint_.path = "tiny.gguf";
    auto& m = checkpoint_.metadata;
    m.set("general.architecture", std::string("llama"));
    m.set("llama.embedding_length", hidden);
    m.set("llama.feed_forward_length", feed_forward);
    m.set("llama.block_count", int64_t{shape.layers});
    m.set("llama.attention.head_count", int64_t{4});
    m.set("llama.attention.head_count_kv", int64_t{2});
    m.set("llama.context_length", int64_t{256});
    add("token_embd.weight", {kVocabulary, hidden}, base::DType::kQ8_0);
    add("output_norm.weight", {hidden}, base::DType::kF32);
    for (int i = 0; i < shape.layers; ++i) {
      const std::string layer = "blk." + std::to_string(i) + ".";
      add(layer + "attn_q.weight", {hidden, hidden}, base::DType::kF32);
      add(layer + "attn_k.weight", {hidden / 2, hidden}, base::DType::kQ8_0);
      add(layer + "attn_v.weight", {hidden / 2, hidden}, base::DType::kQ4_0);
      add(layer + "attn_output.weight", {hidden, hidden}, base::DType::kQ8_0);
      add(layer + "attn_norm.weight", {hidden}, base::DType::kF32);
      add(layer + "ffn_norm.weight", {hidden}, base::DType::kF32);
      add(layer + "ffn_gate.weight", {feed_forward, hidden}, base::DType::kQ4_0);
      add(layer + "ffn_up.weight", {feed_forward, hidden}, base::DType::kF32);
      add(layer + "ffn_down.weight", {hidden, feed_forward}, shape.down);
    }
  }

  const formats::Checkpoint& checkpoint() const { return checkpoint_; }

  /// The model as a GGUF file.
  void write(const std::string& path) const {
    std::vector<formats::TensorDeclaration> declared;
    for (const auto& [tensor, view] : checkpoint_.tensors) {
      declared.push_back({tensor, view.dtype, view.shape});
    }
    auto writer = formats::GgufWriter::create(path, checkpoint_.metadata, declared);
    CHECK(writer.has_value());
    for (const auto& [tensor, view] : checkpoint_.tensors) {
      CHECK(writer->append(tensor, view.bytes).has_value());
    }
    CHECK(writer->finish().has_value());
  }

  plan::Plan plan(const kernels::OpTable& ops, const TinyLimits& limits, int workers = 2,
                  int64_t segment_alignment = plan::kSegmentAlignment) const {
    builder::PlanRequest request;
    request.workers = workers;
    request.memory_bytes = int64_t{64} << 20;
    request.context = limits.context;
    request.batch_tokens = limits.batch_tokens;
    request.sequences = limits.sequences;
    request.segment_alignment = segment_alignment;
    request.step_memory = limits.step_memory;
    auto program = models::make_program(checkpoint_);
    CHECK(program.has_value());
    auto plan = builder::make_plan(checkpoint_, std::move(*program), ops, request);
    CHECK(plan.has_value());
    plan->kv.page_bytes = plan->kv.page_bytes / plan->kv.page_tokens * limits.page_tokens;
    plan->kv.page_tokens = limits.page_tokens;
    plan->kv.pages = limits.pages;
    plan->memory.kv = plan->kv.pages * plan->kv.page_bytes;
    plan->kv.host_pages = limits.host_pages;
    plan->memory.kv_host = plan->kv.host_pages * plan->kv.page_bytes;
    return std::move(*plan);
  }

 private:
  void add(const std::string& name, base::Shape shape, base::DType dtype) {
    std::vector<float> values(static_cast<size_t>(base::element_count(shape)));
    std::normal_distribution<float> draw(shape.size() == 1 ? 1.0f : 0.0f, 0.4f);
    for (float& value : values) value = draw(random_);
    const int64_t bytes = base::bytes_of(dtype, static_cast<int64_t>(values.size()));
    std::vector<std::byte>& stored = bytes_.emplace_back(static_cast<size_t>(bytes));
    kernels::quantise(dtype, values, {}, stored.data());
    checkpoint_.tensors[name] = {dtype, std::move(shape), stored};
  }

  std::mt19937 random_;
  std::deque<std::vector<std::byte>> bytes_;
  formats::Checkpoint checkpoint_;
};

}  // namespace neuros::testing
