#include "builder/spec/expression_parser.h"
#include "builder/spec/prompt_template.h"
#include "builder/spec/route.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using namespace neuros::builder;

Value variable(std::string_view name) {
  return name == "latency" ? Value::of_time(1000.0) : Value::of_number(3.0);
}

/// Of another type for every length of the name, so that all pairs of types meet.
Value reference(const Reference& reference) {
  switch (reference.source.size() % 4) {
    case 0:
      return {};
    case 1:
      return Value::of_text(reference.field);
    case 2:
      return Value::of_bool(reference.field.empty());
    default:
      return Value::of_number(2.0);
  }
}

}  // namespace

/// Any text as a condition in every scope, as a route and as a prompt.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ValueSource values{variable, reference};
  for (const auto scope :
       {ExpressionScope::kRoute, ExpressionScope::kWhen, ExpressionScope::kUntil}) {
    const auto expression = parse_expression(text, scope);
    if (!expression) continue;
    const auto value = evaluate(*expression, values);
    volatile bool keep = value.has_value();
    static_cast<void>(keep);
  }
  const std::vector<std::string> models{"a", "b"};
  if (const auto route = parse_route("r", text, models)) {
    const auto model = choose(*route, values);
    if (model && *model != "a" && *model != "b") std::abort();
  }
  const auto prompt = parse_prompt_template(text);
  volatile size_t keep = prompt ? prompt->references().size() : 0;
  static_cast<void>(keep);
  return 0;
}
