#include "base/check.h"
#include "base/xxh64.h"
#include "plan/plan_file.h"
#include "plan/plan_file_names.h"
#include "plan_generated.h"

#include <cstring>
#include <string>
#include <string_view>
#include <variant>

namespace neuros::plan {
namespace {

using flatbuffers::Offset;

/// Parts are written before what refers to them, each in a statement of its own: the order of a
/// call's arguments is the compiler's.
class Writer {
 public:
  std::vector<std::byte> write(const FleetPlan& fleet);

 private:
  using Text = Offset<flatbuffers::String>;
  template <typename T>
  using List = Offset<flatbuffers::Vector<T>>;

  Text text(std::string_view text) { return text.empty() ? 0 : builder_.CreateString(text); }
  List<Text> texts(const std::vector<std::string>& texts);
  template <typename Table, typename T>
  List<Offset<Table>> tables(const std::vector<T>& parts) {
    std::vector<Offset<Table>> tables;
    for (const T& part : parts) tables.push_back(table(part));
    return builder_.CreateVector(tables);
  }

  template <typename Table>
  Offset<file::Op> wrap(Offset<Table> op) {
    return file::CreateOp(builder_, file::AnyOpTraits<Table>::enum_value, op.Union());
  }

  Offset<file::WeightRef> table(const WeightRef& ref);
  Offset<file::Value> table(const Value& value);
  Offset<file::EmbedOp> table(const EmbedOp& op);
  Offset<file::RopeTableOp> table(const RopeTableOp& op);
  Offset<file::QkvRopeOp> table(const QkvRopeOp& op);
  Offset<file::AttentionOp> table(const AttentionOp& op);
  Offset<file::LinearResidualOp> table(const LinearResidualOp& op);
  Offset<file::GateUpOp> table(const GateUpOp& op);
  Offset<file::LogitsOp> table(const LogitsOp& op);
  Offset<file::Op> table(const Op& op);
  Offset<file::Segment> table(const Segment& segment);
  Offset<file::Program> table(const Program& program);
  Offset<file::Gpu> table(const GpuFacts& gpu);
  Offset<file::Machine> table(const MachineFacts& machine);
  Offset<file::Kv> table(const KvPlan& kv);
  Offset<file::SegmentPlacement> table(const SegmentPlacement& segment);
  Offset<file::WeightPlacement> table(const WeightPlacement& weight);
  Offset<file::ValuePlacement> table(const ValuePlacement& value);
  Offset<file::KernelChoice> table(const KernelChoice& choice);
  Offset<file::Model> table(const Plan& plan);
  Offset<file::Allocation> table(const Allocation& allocation);

  flatbuffers::FlatBufferBuilder builder_;
};

// What follows names every member of the structs that grow, so that a new one, which the file would
// lose, does not compile.

file::Memory memory_of(const MemoryPlan& memory) {
  const auto& [weights, kv, activations, scratch, shared, arenas_on_host, driver, host, kv_host,
               staging, metadata, process] = memory;
  return file::Memory(weights, kv, activations, scratch, shared, driver, host, kv_host, staging,
                      metadata, process, arenas_on_host);
}

file::Limits limits_of(const BatchLimits& limits) {
  const auto& [context, batch_tokens, sequences, logit_rows] = limits;
  return file::Limits(context, batch_tokens, sequences, logit_rows);
}

Writer::List<Writer::Text> Writer::texts(const std::vector<std::string>& texts) {
  std::vector<Text> offsets;
  for (const std::string& text : texts) offsets.push_back(builder_.CreateString(text));
  return builder_.CreateVector(offsets);
}

Offset<file::WeightRef> Writer::table(const WeightRef& ref) {
  if (!ref.exists()) return 0;
  const auto name = text(ref.name);
  const auto shape = builder_.CreateVector(ref.shape.data(), ref.shape.size());
  return file::CreateWeightRef(builder_, name, shape);
}

Offset<file::Value> Writer::table(const Value& value) {
  const Text name = text(value.name), rows = text(plan::name(value.rows));
  return file::CreateValue(builder_, name, rows, value.cols);
}

Offset<file::EmbedOp> Writer::table(const EmbedOp& op) {
  const auto weights = table(op.table);
  return file::CreateEmbedOp(builder_, weights, op.scale, op.out);
}

Offset<file::RopeTableOp> Writer::table(const RopeTableOp& op) {
  const auto frequency = builder_.CreateVector(op.inverse_frequency);
  return file::CreateRopeTableOp(builder_, frequency, op.magnitude, op.out);
}

Offset<file::QkvRopeOp> Writer::table(const QkvRopeOp& op) {
  const auto norm = table(op.norm), wq = table(op.wq), wk = table(op.wk), wv = table(op.wv),
             bq = table(op.bq), bk = table(op.bk), bv = table(op.bv), q_norm = table(op.q_norm),
             k_norm = table(op.k_norm);
  const Text style = text(name(op.rope_style));
  return file::CreateQkvRopeOp(builder_, norm, wq, wk, wv, bq, bk, bv, q_norm, k_norm, op.epsilon,
                               op.layer, op.heads, op.kv_heads, op.head_dim, op.rope_dims, style,
                               op.in, op.rope_table, op.out);
}

Offset<file::AttentionOp> Writer::table(const AttentionOp& op) {
  return file::CreateAttentionOp(builder_, op.layer, op.heads, op.kv_heads, op.head_dim, op.scale,
                                 op.window, op.soft_cap, op.in, op.out);
}

Offset<file::LinearResidualOp> Writer::table(const LinearResidualOp& op) {
  const auto weight = table(op.weight), bias = table(op.bias);
  return file::CreateLinearResidualOp(builder_, weight, bias, op.in, op.residual);
}

Offset<file::GateUpOp> Writer::table(const GateUpOp& op) {
  const auto norm = table(op.norm), gate = table(op.gate), up = table(op.up);
  return file::CreateGateUpOp(builder_, norm, gate, up, op.epsilon, op.in, op.out);
}

Offset<file::LogitsOp> Writer::table(const LogitsOp& op) {
  const auto norm = table(op.norm), head = table(op.head);
  return file::CreateLogitsOp(builder_, norm, head, op.epsilon, op.in, op.out);
}

Offset<file::Op> Writer::table(const Op& op) {
  return std::visit([this](const auto& kind) { return wrap(table(kind)); }, op);
}

Offset<file::Segment> Writer::table(const Segment& segment) {
  const Text name = text(segment.name);
  const auto ops = tables<file::Op>(segment.ops);
  return file::CreateSegment(builder_, name, ops);
}

Offset<file::Program> Writer::table(const Program& p) {
  const Text name = text(p.name), architecture = text(p.architecture);
  const auto values = tables<file::Value>(p.values);
  const auto segments = tables<file::Segment>(p.segments);
  return file::CreateProgram(builder_, name, architecture, p.hidden, p.feed_forward, p.vocabulary,
                             p.layers, p.heads, p.kv_heads, p.head_dim, p.context_trained, values,
                             segments);
}

Offset<file::Gpu> Writer::table(const GpuFacts& gpu) {
  const auto& [model, compute_capability, memory_bytes, pinned_bytes] = gpu;
  const Text name = text(model), capability = text(compute_capability);
  return file::CreateGpu(builder_, name, capability, memory_bytes, pinned_bytes);
}

Offset<file::Machine> Writer::table(const MachineFacts& machine) {
  const auto& [cpu_level, avx512_bf16, cores, host_bytes, gpu_facts] = machine;
  const Text level = text(cpu_level);
  const auto gpu = gpu_facts ? table(*gpu_facts) : Offset<file::Gpu>();
  return file::CreateMachine(builder_, level, avx512_bf16, cores, host_bytes, gpu);
}

Offset<file::Kv> Writer::table(const KvPlan& kv) {
  const auto& [type, page_tokens, pages, page_bytes, host_pages] = kv;
  const Text dtype = text(base::name(type));
  return file::CreateKv(builder_, dtype, page_tokens, pages, page_bytes, host_pages);
}

Offset<file::SegmentPlacement> Writer::table(const SegmentPlacement& segment) {
  const Text name = text(segment.name);
  return file::CreateSegmentPlacement(builder_, name, segment.offset, segment.bytes);
}

Offset<file::WeightPlacement> Writer::table(const WeightPlacement& weight) {
  const auto& [tensor, tensor_kind, type, type_in_file, rows, cols, segment, offset, bytes,
               file_bytes, kernel_name] = weight;
  const Text name = text(tensor), kind = text(plan::name(tensor_kind)),
             dtype = text(base::name(type)), kernel = text(kernel_name),
             file_dtype = text(base::name(type_in_file));
  return file::CreateWeightPlacement(builder_, name, kind, dtype, rows, cols, segment, offset,
                                     bytes, file_bytes, kernel, file_dtype);
}

Offset<file::ValuePlacement> Writer::table(const ValuePlacement& value) {
  const auto& [program_value, offset, bytes, first_op, last_op, whose] = value;
  const Text name = text(program_value), region = text(plan::name(whose));
  return file::CreateValuePlacement(builder_, name, offset, bytes, first_op, last_op, region);
}

Offset<file::KernelChoice> Writer::table(const KernelChoice& choice) {
  const Text op = text(choice.op), dtype = text(base::name(choice.dtype)),
             source = text(name(choice.source));
  return file::CreateKernelChoice(builder_, op, dtype, choice.rows, choice.cols, choice.tokens,
                                  choice.value, source);
}

Offset<file::Model> Writer::table(const Plan& plan) {
  const auto& [program_plan, model_path, device_name, kind_of_device, table_of_ops, workers,
               machine_facts, batch_limits, kv_plan, placed_segments, placed_weights, placed_values,
               kernel_choices, memory_plan, why] = plan;
  const auto program = table(program_plan);
  const Text path = text(model_path), device = text(device_name),
             device_kind = text(kind_of_device), op_table = text(table_of_ops);
  const auto machine = table(machine_facts);
  const auto kv = table(kv_plan);
  const auto segments = tables<file::SegmentPlacement>(placed_segments);
  const auto weights = tables<file::WeightPlacement>(placed_weights);
  const auto values = tables<file::ValuePlacement>(placed_values);
  const auto choices = tables<file::KernelChoice>(kernel_choices);
  const auto reasons = texts(why);
  const file::Limits limits = limits_of(batch_limits);
  const file::Memory memory = memory_of(memory_plan);
  return file::CreateModel(builder_, program, path, device, device_kind, op_table, workers, machine,
                           &limits, kv, segments, weights, values, choices, &memory, reasons);
}

Offset<file::Allocation> Writer::table(const Allocation& allocation) {
  const Text id = text(allocation.id), priority = text(allocation.priority),
             home = text(name(allocation.home));
  const auto together = builder_.CreateVector(allocation.together);
  const auto onload =
      builder_.CreateVector(allocation.onload_us.data(), allocation.onload_us.size());
  const auto names = texts(allocation.names);
  return file::CreateAllocation(builder_, id, priority, allocation.stays, home, together, onload,
                                names);
}

/// The buffer, zeros to a multiple of 8, and their hash.
std::vector<std::byte> sealed(std::span<const uint8_t> buffer) {
  const size_t padded =
      (buffer.size() + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
  CHECK(padded + sizeof(uint64_t) <= kPlanFileBytesMax);
  std::vector<std::byte> bytes(padded + sizeof(uint64_t));
  std::memcpy(bytes.data(), buffer.data(), buffer.size());
  const uint64_t hash = base::xxh64(std::span(bytes).first(padded));
  std::memcpy(bytes.data() + padded, &hash, sizeof hash);
  return bytes;
}

std::vector<std::byte> Writer::write(const FleetPlan& fleet) {
  const auto& [plans, allotted, kind, budget_bytes, frame_bytes, frames, memory_plan, why] = fleet;
  const auto models = tables<file::Model>(plans);
  const auto reasons = texts(why);
  const Text residency = text(kResidencyNames[static_cast<size_t>(kind)]);
  const auto allocations = tables<file::Allocation>(allotted);
  const file::Memory memory = memory_of(memory_plan);
  file::FinishFleetBuffer(
      builder_, file::CreateFleet(builder_, kPlanFileVersion, models, budget_bytes, frame_bytes,
                                  frames, &memory, reasons, residency, allocations));
  return sealed(builder_.GetBufferSpan());
}

}  // namespace

std::vector<std::byte> write_plan(const FleetPlan& fleet) {
  return Writer().write(fleet);
}

}  // namespace neuros::plan
