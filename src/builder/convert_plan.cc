#include "builder/convert_plan.h"

#include "builder/convert_sampling.h"
#include "builder/convert_vocabulary.h"
#include "models/decoder_sizes.h"
#include "models/registry.h"
#include "models/rope_scaling.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <tuple>

namespace neuros::builder {
namespace {

using base::DType;
using formats::Checkpoint;
using formats::Metadata;

/// Version of the block formats that GGUF files name.
constexpr int64_t kQuantizationVersion = 2;

bool holds_weights(DType dtype) {
  return static_cast<int>(dtype) < base::kWeightDTypeCount;
}

/// Sorts as a model runs: what comes before the layers, the layers in order, the head.
std::tuple<int, int32_t, std::string_view> place_of(const std::string& name) {
  if (name.starts_with("output")) return {2, 0, name};
  if (!name.starts_with("blk.")) return {0, 0, name};
  int32_t layer = 0;
  std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return {1, layer, name};
}

class Planner {
 public:
  Planner(const Checkpoint& checkpoint, const TypeMix& mix)
      : checkpoint_(checkpoint),
        mix_(mix),
        architecture_(checkpoint.metadata.text_or_none("general.architecture").value_or("")),
        prefix_(architecture_ + ".") {}

  base::Result<ConvertPlan> plan() {
    plan_.metadata = checkpoint_.metadata;
    if (checkpoint_.source == formats::Source::kHuggingFace) TRY(translate_conventions());
    for (const auto& [name, view] : checkpoint_.tensors) add_tensor(name, view);
    std::sort(plan_.tensors.begin(), plan_.tensors.end(), [](const auto& a, const auto& b) {
      return place_of(a.target.name) < place_of(b.target.name);
    });
    describe_types();
    note_requantised();
    note_odd_rows();
    return std::move(plan_);
  }

 private:
  /// What HF directories and GGUF files say in different ways.
  base::Result<> translate_conventions() {
    auto program = models::make_program(checkpoint_);
    if (!program) return tl::unexpected(std::move(program).error());
    const models::DecoderSizes sizes = TRY(models::read_decoder_sizes(checkpoint_, architecture_));
    if (architecture_ == "llama") rotary_ = {sizes.head_dim, sizes.rope_dims};
    TRY(add_rope_divisors(sizes.rope_dims));
    add_sampling_defaults(checkpoint_, plan_.metadata);
    return add_vocabulary(checkpoint_, sizes.vocabulary, plan_);
  }

  base::Result<> add_rope_divisors(int32_t dims) {
    plan_.rope_divisors = TRY(models::read_llama3_divisors(checkpoint_, architecture_, dims));
    if (plan_.rope_divisors.empty()) return {};
    for (const char* key :
         {"type", "factor", "low_freq_factor", "high_freq_factor", "original_context_length"}) {
      plan_.metadata.erase(prefix_ + "rope.scaling." + key);
    }
    const base::Shape shape{static_cast<int64_t>(plan_.rope_divisors.size())};
    const base::TensorView view{DType::kF32, shape, std::as_bytes(std::span(plan_.rope_divisors))};
    plan_.tensors.push_back({{"rope_freqs.weight", DType::kF32, shape}, view, {}});
    return {};
  }

  void add_tensor(const std::string& name, const base::TensorView& view) {
    const bool tied = checkpoint_.find_tensor("output.weight") == nullptr;
    const auto layers = checkpoint_.metadata.integer_or_none(prefix_ + "block_count").value_or(0);
    DType dtype = view.dtype;
    if (holds_weights(dtype)) {
      dtype = dtype_in_mix(mix_, name, view.shape, static_cast<int32_t>(layers), tied);
    }
    plan_.tensors.push_back({{name, dtype, view.shape}, view, order_of(name)});
  }

  RowOrder order_of(std::string_view name) const {
    const bool rotated = name.ends_with(".attn_q.weight") || name.ends_with(".attn_k.weight") ||
                         name.ends_with(".attn_q.bias") || name.ends_with(".attn_k.bias");
    return rotated ? rotary_ : RowOrder{};
  }

  /// Keys about the types and about the parts of the source, which is one file from here on.
  void describe_types() {
    Metadata& metadata = plan_.metadata;
    const bool quantised = std::any_of(
        plan_.tensors.begin(), plan_.tensors.end(),
        [](const ConvertedTensor& tensor) { return base::is_quantised(tensor.target.dtype); });
    metadata.set("general.file_type", int64_t{mix_.file_type});
    metadata.erase("general.quantization_version");
    if (quantised) metadata.set("general.quantization_version", kQuantizationVersion);
    for (const char* key : {"split.no", "split.count", "split.tensors.count"}) metadata.erase(key);
  }

  void note_requantised() {
    std::set<std::string_view> types;
    size_t count = 0;
    for (const ConvertedTensor& tensor : plan_.tensors) {
      const DType from = tensor.source.dtype;
      if (!base::is_quantised(from) || from == tensor.target.dtype) continue;
      types.insert(base::name(from));
      ++count;
    }
    if (count == 0) return;
    std::string names;
    for (const std::string_view type : types)
      names += (names.empty() ? "" : ", ") + std::string(type);
    plan_.notes.push_back(std::to_string(count) + " tensors were quantised before (" + names +
                          "): what they lost then stays lost; convert from the original weights "
                          "where there are any");
  }

  void note_odd_rows() {
    const int64_t block = base::info(mix_.most).block_elements;
    const auto count = std::count_if(
        plan_.tensors.begin(), plan_.tensors.end(), [&](const ConvertedTensor& tensor) {
          const base::TensorView& view = tensor.source;
          return view.shape.size() > 1 && holds_weights(view.dtype) && view.cols() % block != 0;
        });
    if (count == 0) return;
    plan_.notes.push_back(std::to_string(count) +
                          " tensors have rows that are not whole blocks of " +
                          std::string(base::name(mix_.most)) + " (" + std::to_string(block) +
                          " elements): they got other types");
  }

  const Checkpoint& checkpoint_;
  const TypeMix& mix_;
  std::string architecture_, prefix_;
  RowOrder rotary_;
  ConvertPlan plan_;
};

}  // namespace

int64_t RowOrder::source_row(int64_t row) const {
  if (keeps()) return row;
  const int64_t in_head = row % head_dim;
  if (in_head >= rope_dims) return row;
  return row - in_head + in_head / 2 + (in_head % 2) * (rope_dims / 2);
}

std::vector<formats::TensorDeclaration> ConvertPlan::declarations() const {
  std::vector<formats::TensorDeclaration> list;
  for (const ConvertedTensor& tensor : tensors) list.push_back(tensor.target);
  return list;
}

base::Result<ConvertPlan> plan_conversion(const Checkpoint& checkpoint, const TypeMix& mix) {
  return Planner(checkpoint, mix).plan();
}

}  // namespace neuros::builder
