#include "formats/describe.h"
#include "formats/gguf_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

/// Any bytes as a GGUF file; what loads is read to the last tensor byte and described.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto checkpoint = neuros::formats::parse_gguf(std::as_bytes(std::span(data, size)));
  if (!checkpoint) return 0;
  size_t sum = 0;
  for (const auto& [name, view] : checkpoint->tensors) {
    if (view.bytes.size() > size) std::abort();
    for (const std::byte byte : view.bytes) sum += static_cast<size_t>(byte);
  }
  volatile size_t keep = sum + neuros::formats::describe(*checkpoint).size() +
                         neuros::formats::describe_json(*checkpoint).size();
  static_cast<void>(keep);
  return 0;
}
