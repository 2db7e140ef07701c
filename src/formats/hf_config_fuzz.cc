#include "formats/hf_config.h"
#include "formats/hf_names.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

/// Any text as config.json, generation_config.json and a tensor name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto config = neuros::formats::parse_hf_config(text);
  neuros::formats::Metadata metadata;
  const auto added = neuros::formats::add_generation_config(metadata, text);
  const auto name = neuros::formats::gguf_name_of_hf_tensor(text);
  volatile size_t keep = (config ? config->metadata.all().size() : 0) +
                         (added ? metadata.all().size() : 0) + (name ? name->size() : 0);
  static_cast<void>(keep);
  return 0;
}
