#include "formats/huggingface.h"

#include "formats/hf_config.h"
#include "formats/hf_names.h"
#include "formats/printable.h"
#include "formats/safetensors_reader.h"

#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::formats {
namespace {

namespace fs = std::filesystem;
using base::fail;
using base::Result;

constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kSideFiles[] = {
    "config.json",         "generation_config.json",
    "tokenizer.json",      "tokenizer_config.json",
    "tokenizer.model",     "tekken.json",
    "vocab.json",          "merges.txt",
    "added_tokens.json",   "special_tokens_map.json",
    "chat_template.jinja", "chat_template.json",
};

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

template <typename T>
Result<T> in_file(const std::string& path, Result<T> result) {
  if (result) return result;
  return tl::unexpected(base::with_context(std::move(result).error(), path));
}

Result<> read_side_files(const fs::path& directory, Checkpoint& checkpoint) {
  for (const std::string_view name : kSideFiles) {
    const fs::path path = directory / name;
    if (!is_file(path)) continue;
    checkpoint.side_files.emplace(name, TRY(base::read_text_file(path.string())));
  }
  return {};
}

Result<TensorMap> map_file(const fs::path& path, std::vector<base::MappedFile>& files) {
  base::MappedFile file = TRY(base::MappedFile::open(path.string()));
  TensorMap tensors = TRY(in_file(path.string(), parse_safetensors(file.bytes())));
  files.push_back(std::move(file));
  return tensors;
}

/// Shards by name, each opened once.
Result<TensorMap> map_shards(const fs::path& index_path, std::vector<base::MappedFile>& files) {
  const std::string index = index_path.string();
  const std::string text = TRY(base::read_text_file(index));
  const auto weight_map = TRY(in_file(index, parse_safetensors_index(text)));
  std::map<std::string, TensorMap> shards;
  TensorMap tensors;
  for (const auto& [name, file] : weight_map) {
    auto shard = shards.find(file);
    if (shard == shards.end()) {
      auto opened = TRY(map_file(index_path.parent_path() / file, files));
      shard = shards.emplace(file, std::move(opened)).first;
    }
    const auto found = shard->second.find(name);
    if (found == shard->second.end())
      return fail(index + ": tensor " + printable(name) + " is not in " + printable(file));
    tensors.emplace(name, found->second);
  }
  return tensors;
}

/// The only .safetensors file of a directory that has neither of the usual names.
Result<fs::path> only_safetensors(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".safetensors") found.push_back(it->path());
  }
  if (found.size() == 1) return found.front();
  const std::string where = directory.string() + ": ";
  if (found.size() > 1)
    return fail(where + std::to_string(found.size()) + " .safetensors files and no " +
                std::string(kIndexName));
  const bool pickled = is_file(directory / "pytorch_model.bin") ||
                       is_file(directory / "pytorch_model.bin.index.json");
  if (pickled)
    return fail(where + "weights only as PyTorch pickles, convert them to safetensors",
                base::ErrorKind::kUnsupported);
  return fail(where + "no .safetensors file", base::ErrorKind::kNotFound);
}

Result<TensorMap> map_directory(const fs::path& directory, std::vector<base::MappedFile>& files) {
  if (is_file(directory / kIndexName)) return map_shards(directory / kIndexName, files);
  if (is_file(directory / kSingleName)) return map_file(directory / kSingleName, files);
  return map_file(TRY(only_safetensors(directory)), files);
}

Result<TensorMap> translate_names(TensorMap tensors, const HfConfig& config) {
  if (!config.architecture_known) return tensors;
  TensorMap translated;
  for (auto& [name, view] : tensors) {
    const auto dtype = view.dtype;
    const bool weight =
        dtype == base::DType::kF32 || dtype == base::DType::kF16 || dtype == base::DType::kBF16;
    if (is_hf_buffer(name) || !weight) continue;
    const auto gguf_name = gguf_name_of_hf_tensor(name);
    if (!gguf_name)
      return fail("tensor " + printable(name) + " is not part of architecture " +
                      config.metadata.text_or_none("general.architecture").value_or(""),
                  base::ErrorKind::kUnsupported);
    if (config.tied_embeddings && *gguf_name == "output.weight") continue;
    if (!translated.emplace(*gguf_name, std::move(view)).second)
      return fail("tensor " + printable(name) + " is there twice, with and without model.");
  }
  return translated;
}

Result<HfConfig> read_config(const std::string& directory, const Checkpoint& checkpoint) {
  const auto config_text = checkpoint.side_files.find("config.json");
  if (config_text == checkpoint.side_files.end())
    return fail(directory + ": no config.json", base::ErrorKind::kNotFound);
  HfConfig config = TRY(in_file(directory, parse_hf_config(config_text->second)));
  const auto generation = checkpoint.side_files.find("generation_config.json");
  if (generation != checkpoint.side_files.end())
    TRY(in_file(directory, add_generation_config(config.metadata, generation->second)));
  return config;
}

/// `weights` is the directory or one file in it.
Result<Checkpoint> open(const fs::path& directory, const fs::path& weights) {
  Checkpoint checkpoint;
  checkpoint.source = Source::kHuggingFace;
  checkpoint.path = weights.string();
  TRY(read_side_files(directory, checkpoint));
  HfConfig config = TRY(read_config(directory.string(), checkpoint));
  TensorMap tensors = weights == directory ? TRY(map_directory(directory, checkpoint.files))
                                           : TRY(map_file(weights, checkpoint.files));
  checkpoint.tensors = TRY(in_file(weights.string(), translate_names(std::move(tensors), config)));
  checkpoint.metadata = std::move(config.metadata);
  std::error_code ignored;
  const fs::path absolute = fs::weakly_canonical(directory, ignored);
  checkpoint.metadata.set("general.name", absolute.filename().string());
  return checkpoint;
}

}  // namespace

Result<Checkpoint> open_huggingface(const std::string& directory) {
  return open(directory, directory);
}

Result<Checkpoint> open_safetensors(const std::string& path) {
  const fs::path file(path);
  const fs::path parent = file.parent_path();
  return open(parent.empty() ? fs::path(".") : parent, file);
}

}  // namespace neuros::formats
