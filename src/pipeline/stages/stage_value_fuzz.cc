#include "pipeline/stages/stage_value.h"

#include <cstddef>
#include <cstdint>
#include <string>

/// Any text as what a stage gave: its fields, as prompts and as conditions see them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using neuros::pipeline::StageValue;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const StageValue value = StageValue::of_text(text);
  if (value.text() != text || value.is_nothing()) __builtin_trap();
  for (const char* name : {"", "a", "next"}) {
    const bool known = value.field_value(name).type != neuros::builder::Value::Type::kNone;
    // What a prompt shows of a field that is not there is nothing.
    if (!known && !value.field_text(name).empty()) __builtin_trap();
  }
  return 0;
}
