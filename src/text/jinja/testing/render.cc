#include "text/jinja/testing/render.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

#include <nlohmann/json.hpp>

namespace neuros::text::jinja::testing {

std::string render(std::string_view source, std::string_view inputs, const Limits& limits) {
  const auto body = parse(source);
  if (!body) return "error: " + body.error().message;
  constexpr int64_t kNow = 1'700'000'000;
  const auto text = jinja::render(*body, nlohmann::ordered_json::parse(inputs), kNow, limits);
  return text ? *text : "error: " + text.error().message;
}

std::string value_of(std::string_view expression, std::string_view inputs) {
  return render("{{ " + std::string(expression) + " }}", inputs);
}

}  // namespace neuros::text::jinja::testing
