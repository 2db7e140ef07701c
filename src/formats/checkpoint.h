#pragma once

/// What every model file becomes: metadata and named tensors over mapped bytes.

#include "base/mapped_file.h"
#include "base/result.h"
#include "base/tensor_view.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace neuros::formats {

struct MetadataArray;
/// A metadata value. Integers of any width become int64 (uint64 above its range is refused),
/// floats double.
using MetadataValue = std::variant<bool, int64_t, double, std::string, MetadataArray>;
/// A homogeneous array; the variant says of what.
struct MetadataArray {
  std::variant<std::vector<bool>, std::vector<int64_t>, std::vector<double>,
               std::vector<std::string>>
      values;
  size_t size() const;
};

/// Metadata by key, as in GGUF ("llama.block_count"). HF directories are translated into the same
/// keys, so that models/ reads one vocabulary of keys (docs/formats/checkpoint.md).
class Metadata {
 public:
  void set(std::string key, MetadataValue value) { values_[std::move(key)] = std::move(value); }
  const MetadataValue* find(std::string_view key) const;
  const std::map<std::string, MetadataValue, std::less<>>& all() const { return values_; }

  /// Fail with the key, the wanted type and what was found.
  base::Result<int64_t> integer(std::string_view key) const;
  base::Result<double> number(std::string_view key) const;  ///< integers convert
  base::Result<std::string> text(std::string_view key) const;
  std::optional<int64_t> integer_or_none(std::string_view key) const;
  std::optional<double> number_or_none(std::string_view key) const;
  std::optional<std::string> text_or_none(std::string_view key) const;
  std::optional<bool> boolean_or_none(std::string_view key) const;
  /// Arrays by element type; nullptr if the key is absent or holds something else.
  const std::vector<int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;

  bool contains(std::string_view key) const { return find(key) != nullptr; }
  void erase(std::string_view key);

 private:
  std::map<std::string, MetadataValue, std::less<>> values_;
};

/// Where a checkpoint came from; models/ needs it for the few conventions that differ
/// (GGUF stores Llama's Q and K rows permuted for interleaved rotary pairs, HF does not).
enum class Source { kGguf, kHuggingFace };

/// Metadata and named tensors. Tensor names are GGUF's ("blk.3.attn_q.weight"); HF names are
/// translated on reading. Views stay valid as long as the Checkpoint lives, also after a move;
/// those of safetensors need not be aligned to their element. Move-only.
class Checkpoint {
 public:
  Source source = Source::kGguf;
  std::string path;
  Metadata metadata;
  std::map<std::string, base::TensorView, std::less<>> tensors;
  std::vector<base::MappedFile> files;  ///< what the views point into
  /// Small text files of an HF directory by name: "tokenizer.json", "tokenizer_config.json",
  /// "tokenizer.model", "vocab.json", "merges.txt", "generation_config.json",
  /// "chat_template.jinja".
  std::map<std::string, std::string, std::less<>> side_files;

  /// Fails with kNotFound naming the tensor and the file.
  base::Result<base::TensorView> tensor(std::string_view name) const;
  const base::TensorView* find_tensor(std::string_view name) const;
};

/// "text", "integer", "array of 32000 texts": what a value is, for errors and listings.
std::string describe_type(const MetadataValue& value);

/// Opens a GGUF file, a split GGUF's first part, a .safetensors file with config.json beside it,
/// or an HF directory. The error says what the path is and why it is not one of these.
base::Result<Checkpoint> open_checkpoint(const std::string& path);

}  // namespace neuros::formats
