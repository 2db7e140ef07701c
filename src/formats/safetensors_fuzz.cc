#include "formats/safetensors_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace {

size_t sum_of(const neuros::formats::TensorMap& tensors) {
  size_t sum = 0;
  for (const auto& [name, view] : tensors) {
    for (const std::byte byte : view.bytes) sum += static_cast<size_t>(byte);
  }
  return sum;
}

}  // namespace

/// Any bytes as a safetensors file, as a header (length put in front) and as an index.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  volatile size_t keep = 0;
  const auto whole = neuros::formats::parse_safetensors(std::as_bytes(std::span(data, size)));
  if (whole) keep = keep + sum_of(*whole);

  const uint64_t header_bytes = text.rfind('}') == text.npos ? 0 : text.rfind('}') + 1;
  std::string framed(sizeof header_bytes, '\0');
  std::memcpy(framed.data(), &header_bytes, sizeof header_bytes);
  framed += text;
  const auto inner = neuros::formats::parse_safetensors(std::as_bytes(std::span(framed)));
  if (inner) keep = keep + sum_of(*inner);

  const auto index = neuros::formats::parse_safetensors_index(text);
  if (index) keep = keep + index->size();
  return 0;
}
