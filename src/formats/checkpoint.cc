#include "formats/checkpoint.h"

#include "formats/gguf.h"
#include "formats/gguf_reader.h"
#include "formats/huggingface.h"
#include "formats/printable.h"

#include <filesystem>

namespace neuros::formats {

using base::fail;
using base::Result;

const base::TensorView* Checkpoint::find_tensor(std::string_view name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

Result<base::TensorView> Checkpoint::tensor(std::string_view name) const {
  if (const base::TensorView* view = find_tensor(name)) return *view;
  return fail(path + ": no tensor " + printable(name), base::ErrorKind::kNotFound);
}

namespace {

/// What a file that is not a model begins with, in words.
std::string describe_start(std::string_view start) {
  if (start.empty()) return "is empty";
  if (start.starts_with("PK")) return "is a zip file (a PyTorch pickle?)";
  if (start == "lmgg" || start == "tjgg" || start == "fmgg")
    return "is a ggml file older than GGUF";
  return "begins with \"" + printable(start) + "\"";
}

Result<Checkpoint> open_file(const std::string& path) {
  const auto file = TRY(base::MappedFile::open(path));
  const auto start = file.bytes().first(std::min(file.bytes().size(), kGgufMagic.size()));
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text == kGgufMagic) return open_gguf(path);
  if (path.ends_with(".safetensors")) return open_safetensors(path);
  return fail(path + ": not a model: " + describe_start(text) +
              "; expected a GGUF file, a .safetensors file or a Hugging Face directory");
}

}  // namespace

Result<Checkpoint> open_checkpoint(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_huggingface(path);
  const std::filesystem::path file(path);
  const bool beside_weights =
      file.filename() == "config.json" || path.ends_with(".safetensors.index.json");
  if (beside_weights && std::filesystem::is_regular_file(file, ignored))
    return open_huggingface(file.has_parent_path() ? file.parent_path().string() : ".");
  return open_file(path);
}

}  // namespace neuros::formats
