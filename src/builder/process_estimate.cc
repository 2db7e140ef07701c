#include "builder/process_estimate.h"

#include <algorithm>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace neuros::builder {
namespace {

/// Code and data of the program and its libraries, stacks, plan, ledgers: measured on small models.
constexpr int64_t kProgramBytes = int64_t{9} << 20;
/// What a GPU's driver keeps in a process, and its kernels: measured on one H100.
constexpr int64_t kGpuDriverBytes = int64_t{122} << 20;
/// What the driver keeps on the device for a process, with these kernels: measured on one H200.
constexpr int64_t kGpuContextBytes = int64_t{528} << 20;
/// Of one piece in a tokenizer besides its text: the piece, its bytes, and two hash entries.
constexpr int64_t kPieceBytes = 200;
/// Of one merge besides its text: a string, and its slots in a table two thirds full at most.
constexpr int64_t kMergeBytes = 80;
/// Of a piece whose text is not known yet, and of its merge.
constexpr int64_t kTextBytesTypical = 16;
/// A candidate of the sampler: a weight and an id; twice, where the order of all is needed.
constexpr int64_t kCandidateBytes = 16;

/// What a text takes on the heap: short ones lie inside the string.
int64_t heap_bytes(const std::string& text) {
  constexpr size_t kInside = 15;
  if (text.size() <= kInside) return 0;
  return static_cast<int64_t>((text.size() + 1 + 8 + 15) / 16 * 16);
}

int64_t heap_bytes(const std::vector<std::string>& texts) {
  int64_t bytes = 0;
  for (const std::string& text : texts) bytes += heap_bytes(text);
  return bytes;
}

struct ValueBytes {
  int64_t operator()(const std::string& text) const { return heap_bytes(text); }
  int64_t operator()(const formats::MetadataArray& array) const {
    return std::visit(*this, array.values);
  }
  int64_t operator()(const std::vector<std::string>& texts) const {
    return static_cast<int64_t>(texts.size() * sizeof(std::string)) + heap_bytes(texts);
  }
  template <typename T>
  int64_t operator()(const std::vector<T>& values) const {
    return static_cast<int64_t>(values.size() * sizeof(T));
  }
  template <typename T>
  int64_t operator()(const T&) const {
    return 0;
  }
};

/// The file's bytes in front of its first tensor: reading them has mapped them.
int64_t header_bytes(const formats::Checkpoint& checkpoint, const base::MappedFile& file) {
  const std::span<const std::byte> all = file.bytes();
  const std::byte* first = all.data() + all.size();
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const std::byte* data = tensor.bytes.data();
    const bool inside = !std::less<>()(data, all.data()) && std::less<>()(data, first);
    if (inside) first = data;
  }
  return first - all.data();
}

int64_t metadata_bytes(const formats::Checkpoint& checkpoint) {
  int64_t bytes = 0;
  for (const auto& [key, value] : checkpoint.metadata.all())
    bytes += std::visit(ValueBytes{}, value);
  for (const auto& [name, text] : checkpoint.side_files) bytes += heap_bytes(text);
  for (const base::MappedFile& file : checkpoint.files) bytes += header_bytes(checkpoint, file);
  return bytes;
}

int64_t vocabulary_bytes(const formats::Checkpoint& checkpoint, int64_t vocabulary) {
  const auto* pieces = checkpoint.metadata.texts("tokenizer.ggml.tokens");
  if (pieces == nullptr) {  // in files beside the weights, not read yet
    return vocabulary * (kPieceBytes + kMergeBytes + 2 * kTextBytesTypical);
  }
  int64_t bytes = static_cast<int64_t>(pieces->size()) * kPieceBytes + 2 * heap_bytes(*pieces);
  if (const auto* merges = checkpoint.metadata.texts("tokenizer.ggml.merges")) {
    bytes += static_cast<int64_t>(merges->size()) * kMergeBytes + heap_bytes(*merges);
  }
  return bytes;
}

}  // namespace

void estimate_process(const formats::Checkpoint& checkpoint, plan::Plan& plan) {
  const int64_t vocabulary = plan.program.vocabulary;
  plan.memory.metadata = metadata_bytes(checkpoint);
  const SharedProcess shared = shared_process(plan);
  plan.memory.process =
      shared.process + vocabulary_bytes(checkpoint, vocabulary) + vocabulary * kCandidateBytes;
  plan.memory.staging += shared.staging;
  plan.memory.driver = shared.driver;
}

int64_t gpu_driver_bytes() {
  return kGpuContextBytes;
}

SharedProcess shared_process(const plan::Plan& plan) {
  if (plan.memory.arenas_on_host) return {.process = kProgramBytes};
  return {.process = kProgramBytes + kGpuDriverBytes,
          .staging = plan::kUploadBytes,
          .driver = kGpuContextBytes};
}

}  // namespace neuros::builder
