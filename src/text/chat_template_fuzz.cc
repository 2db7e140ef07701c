#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

/// Any bytes as a template: parsing and rendering end in a text or an error, soon and in bounds.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::text;
  static const auto inputs = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "S\u00e9"}, {"role": "user", "content": ["a", 1.5]},
                 {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "n": -3}]}],
    "tools": [{"function": {"name": "f", "parameters": {"b": {}, "a": []}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "x": 7, "e": ""})");
  constexpr jinja::Limits kLimits{
      .steps_max = 50'000, .memory_bytes_max = 1 << 22, .output_bytes_max = 1 << 20};
  const auto body = jinja::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (body) (void)jinja::render(*body, inputs, 1'700'000'000, kLimits);
  return 0;
}
