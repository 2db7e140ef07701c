#include "text/jinja/access.h"
#include "text/jinja/filters.h"
#include "text/jinja/json.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

Result<Value> default_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const bool absent = input.is_undefined() || (arguments.flag(1, false) && !is_true(input));
  if (!absent) return input;
  return arguments.has(0) ? arguments[0] : TRY(runtime.string(""));
}

Result<std::string> indent_of(const Value& value) {
  constexpr int64_t kIndentMax = 64;
  if (value.is_string()) return std::string(value.string());
  if (!value.is_integral() || value.integer() > kIndentMax) {
    return fail("tojson: indent must be a text or a number up to " + std::to_string(kIndentMax));
  }
  return std::string(static_cast<size_t>(std::max<int64_t>(value.integer(), 0)), ' ');
}

Result<Value> tojson_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  JsonStyle style{.ensure_ascii = arguments.flag(0, false), .sort_keys = arguments.flag(3, false)};
  if (arguments.has(1) && !arguments[1].is_none()) {
    style.indent = TRY(indent_of(arguments[1]));
    style.item_separator = ",";
  }
  if (arguments.has(2) && !arguments[2].is_none()) {
    const std::vector<Value> pair = TRY(iterate(runtime, arguments[2]));
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return fail("tojson: separators must be two texts");
    }
    style.item_separator = pair[0].string();
    style.key_separator = pair[1].string();
  }
  return to_json(runtime, input, style);
}

std::string without_underscores(std::string_view text) {
  std::string out(strip(text, std::nullopt, Side::kBoth));
  std::erase(out, '_');
  if (out.starts_with('+')) out.erase(0, 1);
  return out;
}

std::optional<double> parse_float(std::string_view text) {
  const std::string number = without_underscores(text);
  double value = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data(), end, value);
  if (parsed.ec == std::errc::result_out_of_range) return std::strtod(number.c_str(), nullptr);
  if (number.empty() || parsed.ptr != end) return std::nullopt;
  return value;
}

std::optional<int64_t> truncate(double value) {
  constexpr double kLimit = 9.2e18;
  if (!(std::fabs(value) < kLimit)) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<int64_t> parse_int(std::string_view text, int base) {
  std::string number = without_underscores(text);
  const std::string_view prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
  if (!prefix.empty() && number.starts_with(prefix)) number.erase(0, prefix.size());
  int64_t value = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data(), end, value, base);
  if (!number.empty() && parsed.ec == std::errc() && parsed.ptr == end) return value;
  const auto real = parse_float(text);
  return real ? truncate(*real) : std::nullopt;
}

Result<Value> int_filter(Runtime&, const Value& input, const Arguments& arguments) {
  if (input.is_undefined()) return fail_undefined(input);
  const int64_t base = TRY(arguments.integer(1, 10));
  if (base < 2 || base > 36) return fail("int: the base must be from 2 to 36");
  std::optional<int64_t> value;
  if (input.is_integral()) value = input.integer();
  if (input.is_float()) value = truncate(input.real());
  if (input.is_string()) value = parse_int(input.string(), static_cast<int>(base));
  if (value) return Value(*value);
  return arguments.has(0) ? arguments[0] : Value(int64_t{0});
}

Result<Value> float_filter(Runtime&, const Value& input, const Arguments& arguments) {
  if (input.is_undefined()) return fail_undefined(input);
  if (input.is_number()) return Value(input.real());
  const auto value = input.is_string() ? parse_float(input.string()) : std::nullopt;
  if (value) return Value(*value);
  return arguments.has(0) ? arguments[0] : Value(0.0);
}

Result<Value> abs_filter(Runtime&, const Value& input, const Arguments&) {
  if (input.is_float()) return Value(std::fabs(input.real()));
  if (input.is_undefined()) return fail_undefined(input);
  if (!input.is_integral())
    return fail("bad operand type for abs(): '" + std::string(type_name(input)) + "'");
  if (input.integer() == std::numeric_limits<int64_t>::min())
    return fail("integer overflow in abs");
  return Value(std::abs(input.integer()));
}

/// Correctly rounded to `digits` decimal places, halves to even, as Python's round().
double round_decimal(double value, int64_t digits) {
  if (!std::isfinite(value)) return value;
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), value);
  return std::strtod(buffer, nullptr);
}

Result<Value> round_filter(Runtime&, const Value& input, const Arguments& arguments) {
  if (input.is_undefined()) return fail_undefined(input);
  if (!input.is_number())
    return fail("round: '" + std::string(type_name(input)) + "' is no number");
  const int64_t digits = std::clamp<int64_t>(TRY(arguments.integer(0, 0)), -20, 60);
  const std::string_view method = TRY(arguments.string(1, "common"));
  if (method == "common") {
    if (input.is_integral() && digits >= 0) return Value(input.integer());
    const double rounded = round_decimal(input.real(), digits);
    if (!input.is_integral()) return Value(rounded);
    return Value(truncate(rounded).value_or(input.integer()));
  }
  if (method != "ceil" && method != "floor") return fail("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.real() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> attr_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const std::string_view name = TRY(arguments.string(0, ""));
  if (input.is<Dict*>() && !find_method(input, name)) {
    return Runtime::undefined("'dict object' has no attribute '" + std::string(name) + "'");
  }
  return attribute(runtime, input, name);
}

constexpr Builtin kFilters[] = {
    {"default", "default_value= boolean=", default_filter},
    {"d", "default_value= boolean=", default_filter},
    {"tojson", "ensure_ascii= indent= separators= sort_keys=", tojson_filter},
    {"int", "default= base=", int_filter},
    {"float", "default=", float_filter},
    {"abs", "", abs_filter},
    {"round", "precision= method=", round_filter},
    {"attr", "name", attr_filter},
};

}  // namespace

std::span<const Builtin> value_filters() {
  return kFilters;
}

}  // namespace neuros::text::jinja
