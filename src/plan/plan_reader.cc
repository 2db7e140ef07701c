#include "base/xxh64.h"
#include "plan/plan_file.h"
#include "plan/plan_file_names.h"
#include "plan/validate.h"
#include "plan_generated.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace neuros::plan {
namespace {

/// Copies a verified buffer into a plan. After the first error, which is kept, nothing more is
/// copied.
class Reader {
 public:
  /// A buffer may refer to a part of itself many times; what is read of it is no more than it has.
  explicit Reader(size_t buffer_bytes) : left_(buffer_bytes) {}

  base::Result<FleetPlan> read(const file::Fleet& fleet);

 private:
  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }
  bool take(size_t bytes) {
    if (bytes > left_) fail("a part of it is used more than once");
    if (!error_.empty()) return false;
    left_ -= bytes;
    return true;
  }

  std::string text(const flatbuffers::String* text) {
    return text != nullptr && take(text->size()) ? text->str() : "";
  }
  template <typename Names>
  size_t named(const flatbuffers::String* text, const Names& names, const char* what);
  base::DType dtype(const flatbuffers::String* text);

  /// FlatBuffers' verifier does not see to it that numbers of a vector are aligned.
  template <typename T>
  std::vector<T> numbers(const flatbuffers::Vector<T>* numbers) {
    if (numbers == nullptr || !take(numbers->size() * sizeof(T))) return {};
    std::vector<T> copied(numbers->size());
    if (!copied.empty()) std::memcpy(copied.data(), numbers->Data(), copied.size() * sizeof(T));
    return copied;
  }
  template <typename Table, typename Read>
  auto tables(const flatbuffers::Vector<flatbuffers::Offset<Table>>* tables, Read read) {
    std::vector<decltype((this->*read)(*tables->Get(0)))> parts;
    for (size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
      if (!take(sizeof(flatbuffers::uoffset_t))) break;
      parts.push_back((this->*read)(*tables->Get(static_cast<flatbuffers::uoffset_t>(i))));
    }
    return parts;
  }
  std::vector<std::string> texts(
      const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* texts) {
    return tables(texts, &Reader::whole_text);
  }
  std::string whole_text(const flatbuffers::String& of) { return text(&of); }

  WeightRef weight_ref(const file::WeightRef* ref);
  Value value(const file::Value& value);
  Op op(const file::Op& op);
  EmbedOp embed(const file::EmbedOp& op);
  RopeTableOp rope_table(const file::RopeTableOp& op);
  QkvRopeOp qkv_rope(const file::QkvRopeOp& op);
  AttentionOp attention(const file::AttentionOp& op);
  LinearResidualOp linear_residual(const file::LinearResidualOp& op);
  GateUpOp gate_up(const file::GateUpOp& op);
  LogitsOp logits(const file::LogitsOp& op);
  Segment segment(const file::Segment& segment);
  Program program(const file::Program* program);
  MachineFacts machine(const file::Machine* machine);
  KvPlan kv(const file::Kv* kv);
  BatchLimits limits(const file::Limits* limits);
  MemoryPlan memory(const file::Memory* memory);
  SegmentPlacement placed_segment(const file::SegmentPlacement& segment);
  WeightPlacement placed_weight(const file::WeightPlacement& weight);
  ValuePlacement placed_value(const file::ValuePlacement& value);
  KernelChoice choice(const file::KernelChoice& choice);
  Plan model(const file::Model& model);
  Allocation allocation(const file::Allocation& allocation);

  size_t left_;
  std::string error_;
};

template <typename Names>
size_t Reader::named(const flatbuffers::String* text, const Names& names, const char* what) {
  const std::string_view wanted =
      text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == wanted) return i;
  }
  fail(std::string(what) + ": not one of those that are known");
  return 0;
}

base::DType Reader::dtype(const flatbuffers::String* text) {
  const auto found =
      text == nullptr ? std::nullopt : base::dtype_from_name({text->c_str(), text->size()});
  if (!found) fail("type: not one of those that are known");
  return found.value_or(base::DType::kF32);
}

WeightRef Reader::weight_ref(const file::WeightRef* ref) {
  if (ref == nullptr) return {};
  return {.name = text(ref->name()), .shape = numbers(ref->shape())};
}

Value Reader::value(const file::Value& value) {
  return {.name = text(value.name()),
          .rows = static_cast<Value::Rows>(named(value.rows(), kRowsNames, "rows of a value")),
          .cols = value.cols()};
}

EmbedOp Reader::embed(const file::EmbedOp& op) {
  return {.table = weight_ref(op.table()), .scale = op.scale(), .out = op.out()};
}

RopeTableOp Reader::rope_table(const file::RopeTableOp& op) {
  return {.inverse_frequency = numbers(op.inverse_frequency()),
          .magnitude = op.magnitude(),
          .out = op.out()};
}

QkvRopeOp Reader::qkv_rope(const file::QkvRopeOp& op) {
  return {
      .norm = weight_ref(op.norm()),
      .wq = weight_ref(op.wq()),
      .wk = weight_ref(op.wk()),
      .wv = weight_ref(op.wv()),
      .bq = weight_ref(op.bq()),
      .bk = weight_ref(op.bk()),
      .bv = weight_ref(op.bv()),
      .q_norm = weight_ref(op.q_norm()),
      .k_norm = weight_ref(op.k_norm()),
      .epsilon = op.epsilon(),
      .layer = op.layer(),
      .heads = op.heads(),
      .kv_heads = op.kv_heads(),
      .head_dim = op.head_dim(),
      .rope_dims = op.rope_dims(),
      .rope_style = static_cast<RopeStyle>(named(op.rope_style(), kRopeStyleNames, "rope_style")),
      .in = op.in(),
      .rope_table = op.rope_table(),
      .out = op.out()};
}

AttentionOp Reader::attention(const file::AttentionOp& op) {
  return {.layer = op.layer(),
          .heads = op.heads(),
          .kv_heads = op.kv_heads(),
          .head_dim = op.head_dim(),
          .scale = op.scale(),
          .window = op.window(),
          .soft_cap = op.soft_cap(),
          .in = op.in(),
          .out = op.out()};
}

LinearResidualOp Reader::linear_residual(const file::LinearResidualOp& op) {
  return {.weight = weight_ref(op.weight()),
          .bias = weight_ref(op.bias()),
          .in = op.in(),
          .residual = op.residual()};
}

GateUpOp Reader::gate_up(const file::GateUpOp& op) {
  return {.norm = weight_ref(op.norm()),
          .gate = weight_ref(op.gate()),
          .up = weight_ref(op.up()),
          .epsilon = op.epsilon(),
          .in = op.in(),
          .out = op.out()};
}

LogitsOp Reader::logits(const file::LogitsOp& op) {
  return {.norm = weight_ref(op.norm()),
          .head = weight_ref(op.head()),
          .epsilon = op.epsilon(),
          .in = op.in(),
          .out = op.out()};
}

/// Its table is there where its kind is: the verifier has seen to that.
Op Reader::op(const file::Op& op) {
  switch (op.op() == nullptr ? file::AnyOp::NONE : op.op_type()) {
    case file::AnyOp::EmbedOp:
      return embed(*op.op_as_EmbedOp());
    case file::AnyOp::RopeTableOp:
      return rope_table(*op.op_as_RopeTableOp());
    case file::AnyOp::QkvRopeOp:
      return qkv_rope(*op.op_as_QkvRopeOp());
    case file::AnyOp::AttentionOp:
      return attention(*op.op_as_AttentionOp());
    case file::AnyOp::LinearResidualOp:
      return linear_residual(*op.op_as_LinearResidualOp());
    case file::AnyOp::GateUpOp:
      return gate_up(*op.op_as_GateUpOp());
    case file::AnyOp::LogitsOp:
      return logits(*op.op_as_LogitsOp());
    case file::AnyOp::NONE:
      break;
  }
  fail("op of kind " + std::to_string(static_cast<int>(op.op_type())) +
       ": not one of those that are known");
  return EmbedOp{};
}

Segment Reader::segment(const file::Segment& segment) {
  return {.name = text(segment.name()), .ops = tables(segment.ops(), &Reader::op)};
}

Program Reader::program(const file::Program* program) {
  if (program == nullptr) {
    fail("a model without a program");
    return {};
  }
  return {.name = text(program->name()),
          .architecture = text(program->architecture()),
          .hidden = program->hidden(),
          .feed_forward = program->feed_forward(),
          .vocabulary = program->vocabulary(),
          .layers = program->layers(),
          .heads = program->heads(),
          .kv_heads = program->kv_heads(),
          .head_dim = program->head_dim(),
          .context_trained = program->context_trained(),
          .values = tables(program->values(), &Reader::value),
          .segments = tables(program->segments(), &Reader::segment)};
}

MachineFacts Reader::machine(const file::Machine* machine) {
  if (machine == nullptr) return {};
  MachineFacts facts{.cpu_level = text(machine->cpu_level()),
                     .avx512_bf16 = machine->avx512_bf16(),
                     .cores = machine->cores(),
                     .host_bytes = machine->host_bytes()};
  if (const file::Gpu* gpu = machine->gpu(); gpu != nullptr) {
    facts.gpu = GpuFacts{.name = text(gpu->name()),
                         .compute_capability = text(gpu->compute_capability()),
                         .memory_bytes = gpu->memory_bytes(),
                         .pinned_bytes = gpu->pinned_bytes()};
  }
  return facts;
}

KvPlan Reader::kv(const file::Kv* kv) {
  if (kv == nullptr) {
    fail("a model without KV pages");
    return {};
  }
  return {.dtype = dtype(kv->dtype()),
          .page_tokens = kv->page_tokens(),
          .pages = kv->pages(),
          .page_bytes = kv->page_bytes(),
          .host_pages = kv->host_pages()};
}

BatchLimits Reader::limits(const file::Limits* limits) {
  if (limits == nullptr) {
    fail("a model without limits");
    return {};
  }
  return {.context = limits->context(),
          .batch_tokens = limits->batch_tokens(),
          .sequences = limits->sequences(),
          .logit_rows = limits->logit_rows()};
}

MemoryPlan Reader::memory(const file::Memory* memory) {
  if (memory == nullptr) {
    fail("a part without its memory");
    return {};
  }
  return {.weights = memory->weights(),
          .kv = memory->kv(),
          .activations = memory->activations(),
          .scratch = memory->scratch(),
          .shared = memory->shared(),
          .arenas_on_host = memory->arenas_on_host(),
          .driver = memory->driver(),
          .host = memory->host(),
          .kv_host = memory->kv_host(),
          .staging = memory->staging(),
          .metadata = memory->metadata(),
          .process = memory->process()};
}

SegmentPlacement Reader::placed_segment(const file::SegmentPlacement& segment) {
  return {.name = text(segment.name()), .offset = segment.offset(), .bytes = segment.bytes()};
}

WeightPlacement Reader::placed_weight(const file::WeightPlacement& weight) {
  return {.name = text(weight.name()),
          .kind = static_cast<WeightPlacement::Kind>(
              named(weight.kind(), kWeightKindNames, "kind of a weight")),
          .dtype = dtype(weight.dtype()),
          .file_dtype = dtype(weight.file_dtype()),
          .rows = weight.rows(),
          .cols = weight.cols(),
          .segment = weight.segment(),
          .offset = weight.offset(),
          .bytes = weight.bytes(),
          .file_bytes = weight.file_bytes(),
          .kernel = text(weight.kernel())};
}

ValuePlacement Reader::placed_value(const file::ValuePlacement& value) {
  return {.name = text(value.name()),
          .offset = value.offset(),
          .bytes = value.bytes(),
          .first_op = value.first_op(),
          .last_op = value.last_op(),
          .region = static_cast<Region>(named(value.region(), kRegionNames, "region of a value"))};
}

KernelChoice Reader::choice(const file::KernelChoice& choice) {
  return {.op = text(choice.op()),
          .dtype = dtype(choice.dtype()),
          .rows = choice.rows(),
          .cols = choice.cols(),
          .tokens = choice.tokens(),
          .value = choice.value(),
          .source = static_cast<KernelChoice::Source>(
              named(choice.source(), kChoiceSourceNames, "source of a kernel choice"))};
}

Plan Reader::model(const file::Model& model) {
  return {.program = program(model.program()),
          .model_path = text(model.model_path()),
          .device = text(model.device()),
          .device_kind = text(model.device_kind()),
          .op_table = text(model.op_table()),
          .workers = model.workers(),
          .machine = machine(model.machine()),
          .limits = limits(model.limits()),
          .kv = kv(model.kv()),
          .segments = tables(model.segments(), &Reader::placed_segment),
          .weights = tables(model.weights(), &Reader::placed_weight),
          .values = tables(model.values(), &Reader::placed_value),
          .kernel_choices = tables(model.kernel_choices(), &Reader::choice),
          .memory = memory(model.memory()),
          .reasons = texts(model.reasons())};
}

Allocation Reader::allocation(const file::Allocation& allocation) {
  Allocation read{
      .id = text(allocation.id()),
      .names = texts(allocation.names()),
      .priority = text(allocation.priority()),
      .stays = allocation.stays(),
      .home = static_cast<Home>(named(allocation.home(), kHomeNames, "home of weights")),
      .together = numbers(allocation.together())};
  const std::vector<int64_t> onload = numbers(allocation.onload_us());
  if (onload.size() != read.onload_us.size()) {
    fail("times of " + std::to_string(onload.size()) + " homes of weights");
    return read;
  }
  std::ranges::copy(onload, read.onload_us.begin());
  return read;
}

base::Result<FleetPlan> Reader::read(const file::Fleet& fleet) {
  if (fleet.version() != kPlanFileVersion) {
    return base::fail("plan: version " + std::to_string(fleet.version()) + ", expected " +
                          std::to_string(kPlanFileVersion),
                      base::ErrorKind::kUnsupported);
  }
  FleetPlan plan{.models = tables(fleet.models(), &Reader::model),
                 .allocations = tables(fleet.allocations(), &Reader::allocation),
                 .residency = static_cast<Residency>(
                     named(fleet.residency(), kResidencyNames, "residency of weights")),
                 .budget_bytes = fleet.budget_bytes(),
                 .frame_bytes = fleet.frame_bytes(),
                 .frames = fleet.frames(),
                 .memory = memory(fleet.memory()),
                 .reasons = texts(fleet.reasons())};
  if (!error_.empty()) return base::fail("plan: " + error_);
  return plan;
}

/// What was sealed, when its hash is right.
base::Result<std::span<const std::byte>> unseal(std::span<const std::byte> file) {
  constexpr size_t kHashBytes = sizeof(uint64_t);
  if (file.size() < 2 * kHashBytes || file.size() % kHashBytes != 0 ||
      file.size() > kPlanFileBytesMax) {
    return base::fail("plan: " + std::to_string(file.size()) +
                      " bytes, expected a multiple of 8 from 16 to " +
                      std::to_string(kPlanFileBytesMax));
  }
  if (!flatbuffers::BufferHasIdentifier(file.data(), file::FleetIdentifier())) {
    return base::fail("not a file of a plan");
  }
  const auto buffer = file.first(file.size() - kHashBytes);
  uint64_t expected = 0;
  std::memcpy(&expected, file.data() + buffer.size(), kHashBytes);
  if (base::xxh64(buffer) != expected) return base::fail("plan: damaged: its hash differs");
  return buffer;
}

}  // namespace

base::Result<FleetPlan> read_plan(std::span<const std::byte> file) {
  const auto sealed = TRY(unseal(file));
  // At an address that its numbers may be read at.
  const std::vector<std::byte> buffer(sealed.begin(), sealed.end());
  const auto tables_max = static_cast<flatbuffers::uoffset_t>(buffer.size() / sizeof(int32_t));
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(buffer.data()), buffer.size(),
                                 /*max_depth=*/16, tables_max);
  if (!file::VerifyFleetBuffer(verifier)) {
    return base::fail("plan: damaged: an offset leaves the file");
  }
  FleetPlan plan = TRY(Reader(buffer.size()).read(*file::GetFleet(buffer.data())));
  TRY(validate(plan));
  return plan;
}

}  // namespace neuros::plan
