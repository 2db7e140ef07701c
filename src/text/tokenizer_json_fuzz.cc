// Any bytes as tokenizer.json: refused, or a tokenizer that encodes and decodes.

#include "text/vocabulary_hf_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::text;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  auto vocabulary = vocabulary_from_hf({.tokenizer_json = json, .tokenizer_config = json});
  if (!vocabulary) return 0;
  const auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  if (!tokenizer) return 0;
  const auto ids = (*tokenizer)->encode("Hello  w\xC3\xB6rld 123!\n<s>\xFF");
  (*tokenizer)->decode(ids, true);
  return 0;
}
