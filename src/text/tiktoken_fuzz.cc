// Any bytes as a tiktoken file: refused, or a tokenizer that encodes and decodes.

#include "text/vocabulary_tiktoken.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::text;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto vocabulary = vocabulary_from_tiktoken(text, llama3_tiktoken_options());
  if (!vocabulary) return 0;
  const auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  if (!tokenizer) return 0;
  const auto ids = (*tokenizer)->encode("Hello  w\xC3\xB6rld 123!\n<|eot_id|>\xFF");
  (*tokenizer)->decode(ids, true);
  return 0;
}
