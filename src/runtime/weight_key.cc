#include "runtime/weight_key.h"

#include "base/xxh64.h"
#include "runtime/row_quantiser.h"
#include "runtime/weight_source.h"

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace neuros::runtime {
namespace {

using plan::WeightPlacement;

/// Collects what the key is the hash of; fields end with a line.
class Ledger {
 public:
  template <typename... Fields>
  void line(const Fields&... fields) {
    (field(fields), ...);
    text_ += '\n';
  }
  uint64_t hash() const { return base::xxh64(std::as_bytes(std::span(text_))); }

 private:
  void field(const std::string& value) { text_ += std::to_string(value.size()) + ':' + value; }
  template <typename T>
  requires std::is_integral_v<T>
  void field(T value) { text_ += std::to_string(value) + ' '; }
  std::string text_;
};

base::Result<> add_files(const formats::Checkpoint& checkpoint, Ledger& ledger) {
  if (checkpoint.files.empty()) return base::fail(checkpoint.path + ": not in files");
  for (const base::MappedFile& file : checkpoint.files) {
    const base::FileIdentity identity = TRY(file.identity());
    ledger.line(identity.bytes, identity.inode, identity.modified_ns);
  }
  return {};
}

void add_plan(const plan::Plan& plan, Ledger& ledger) {
  ledger.line(plan.op_table);
  for (const WeightPlacement& weight : plan.weights) {
    const int64_t segment = plan.segments[static_cast<size_t>(weight.segment)].offset;
    ledger.line(weight.name, static_cast<int>(weight.kind), static_cast<int>(weight.dtype),
                static_cast<int>(weight.file_dtype), weight.rows, weight.cols, weight.segment,
                weight.offset - segment, weight.bytes, weight.kernel);
  }
  // Where segments begin is of the arena, not of the file.
  for (const plan::SegmentPlacement& segment : plan.segments) {
    ledger.line(segment.name, segment.bytes);
  }
}

/// The hash of a part's first rows as the kernel packs them.
base::Result<uint64_t> packed_sample(const SourcePart& part, const kernels::LinearKernel& kernel) {
  const int64_t rows = std::min(part.rows, plan::kPartRows), cols = part.weight->cols;
  const std::span<const std::byte> mapped = part.bytes.first(
      part.bytes.size() / static_cast<size_t>(part.rows) * static_cast<size_t>(rows));
  if (part.file == nullptr) return base::fail(part.weight->name + ": not in a file");
  std::vector<std::byte> source(mapped.size());
  TRY(part.file->read(mapped, source.data()));
  std::vector<std::byte> packed(static_cast<size_t>(kernel.packed_bytes(rows, cols)));
  RowQuantiser quantiser(nullptr);
  const std::span<const std::byte> sample = quantiser.convert(*part.weight, source, rows);
  kernel.pack(sample.data(), rows, cols, 0, rows, packed.data());
  return base::xxh64(packed);
}

/// How each type is packed, and made of that of the file, by the first matrix that has it.
base::Result<> add_layouts(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                           const kernels::OpTable& ops, Ledger& ledger) {
  std::set<std::pair<base::DType, base::DType>> seen;
  const std::vector<SourcePart> parts = TRY(list_source_parts(plan, checkpoint));
  for (const SourcePart& part : parts) {
    const WeightPlacement& weight = *part.weight;
    if (weight.kind != WeightPlacement::Kind::kMatrix) continue;
    if (!seen.insert({weight.file_dtype, weight.dtype}).second) continue;
    const bool is_weight = static_cast<int>(weight.dtype) < base::kWeightDTypeCount;
    if (!is_weight || !ops.linear_for(weight.dtype)) {
      return base::fail("no kernel for type " + std::string(base::name(weight.dtype)));
    };
    const uint64_t sample = TRY(packed_sample(part, ops.linear_for(weight.dtype)));
    ledger.line(static_cast<int>(weight.dtype), sample);
  }
  return {};
}

}  // namespace

base::Result<uint64_t> weight_key(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                  const kernels::OpTable& ops) {
  Ledger ledger;
  TRY(add_files(checkpoint, ledger));
  add_plan(plan, ledger);
  TRY(add_layouts(plan, checkpoint, ops, ledger));
  return ledger.hash();
}

}  // namespace neuros::runtime
