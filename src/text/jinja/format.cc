#include "text/jinja/format.h"

#include "text/jinja/access.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/print.h"

#include <cmath>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

Result<Value> repr_of(Runtime& runtime, const Value& value) {
  TextBuilder text(runtime);
  TRY(append_repr(runtime, text, value));
  return text.finish();
}

/// The `%` operator on one format.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& arguments)
      : runtime_(runtime), rest_(format), arguments_(arguments), out_(runtime) {}

  Result<Value> run() {
    while (!rest_.empty()) {
      const size_t percent = std::min(rest_.find('%'), rest_.size());
      TRY(out_.append(rest_.substr(0, percent)));
      rest_.remove_prefix(percent);
      if (!rest_.empty()) TRY(directive());
    }
    if (needs_all_used() && used_ < argument_count()) {
      return fail("not all arguments converted during string formatting");
    }
    return out_.finish();
  }

 private:
  bool is_tuple() const {
    return arguments_.is<Sequence*>() && arguments_.as<Sequence*>()->is_tuple();
  }

  /// Python lets arguments with subscripts that are no tuple or text go unused.
  bool needs_all_used() const {
    const bool subscripted = arguments_.is<Dict*>() || arguments_.is<Sequence*>() ||
                             arguments_.is<Range*>() || arguments_.is_undefined();
    return is_tuple() || !subscripted;
  }

  size_t argument_count() const {
    return is_tuple() ? arguments_.as<Sequence*>()->items.size() : 1;
  }

  Result<Value> next_argument() {
    if (used_ >= argument_count()) return fail("not enough arguments for format string");
    const size_t index = used_++;
    return is_tuple() ? arguments_.as<Sequence*>()->items[index] : arguments_;
  }

  Result<Value> named_argument() {
    const size_t end = rest_.find(')');
    if (end == std::string_view::npos) return fail("incomplete format key");
    if (!arguments_.is<Dict*>()) return fail("format requires a mapping");
    const std::string_view name = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const Value* found = arguments_.as<Dict*>()->find(name);
    if (!found) return fail("format: no key '" + std::string(name) + "'");
    return *found;
  }

  void take_flags(FormatSpec& spec) {
    for (; !rest_.empty(); rest_.remove_prefix(1)) {
      const char c = rest_[0];
      if (c == '-') {
        spec.align = '<';
        spec.fill = " ";
      } else if (c == '0' && spec.align != '<') {
        spec.align = '=';
        spec.fill = "0";
      } else if (c == '+' || (c == ' ' && spec.sign != '+')) {
        spec.sign = c;
      } else if (c == '#') {
        spec.alternate = true;
      } else {
        return;
      }
    }
  }

  Result<> directive() {
    rest_.remove_prefix(1);
    FormatSpec spec{.align = '>'};
    Value value;
    const bool named = rest_.starts_with('(');
    if (named) value = TRY(named_argument());
    take_flags(spec);
    spec.width = std::max<int64_t>(TRY(take_number(rest_)), 0);
    if (rest_.starts_with('.')) {
      rest_.remove_prefix(1);
      spec.precision = std::max<int64_t>(TRY(take_number(rest_)), 0);
    }
    if (rest_.empty()) return fail("incomplete format");
    spec.type = rest_[0];
    rest_.remove_prefix(1);
    if (spec.type == '%') return out_.append("%");
    if (!named) value = TRY(next_argument());
    return convert(std::move(value), spec);
  }

  Result<> convert(Value value, FormatSpec& spec) {
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    if (spec.type == 'r' || spec.type == 'a') {
      value = TRY(repr_of(runtime_, value));
      spec.type = 's';
    }
    if (spec.type == 'd') {
      spec.precision = -1;
      if (value.is_float()) value = TRY(truncated(value.real()));
    }
    if (spec.type == 'c' && value.is_string()) spec.type = 's';
    if (spec.type == 's') value = TRY(to_text(runtime_, value));
    return append_formatted(runtime_, out_, value, spec);
  }

  static Result<Value> truncated(double value) {
    constexpr double kLimit = 9.2e18;
    if (!(std::fabs(value) < kLimit)) return fail("%d format: the number is too large");
    return Value(static_cast<int64_t>(value));
  }

  Runtime& runtime_;
  std::string_view rest_;
  const Value& arguments_;
  TextBuilder out_;
  size_t used_ = 0;
};

/// str.format on one format.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, std::string_view format, const CallArguments& arguments)
      : runtime_(runtime), rest_(format), arguments_(arguments), out_(runtime) {}

  Result<Value> run() {
    while (!rest_.empty()) {
      const size_t brace = std::min(rest_.find_first_of("{}"), rest_.size());
      TRY(out_.append(rest_.substr(0, brace)));
      rest_.remove_prefix(brace);
      if (rest_.empty()) break;
      if (rest_.size() > 1 && rest_[1] == rest_[0]) {
        TRY(out_.append(rest_.substr(0, 1)));
        rest_.remove_prefix(2);
      } else {
        TRY(field());
      }
    }
    return out_.finish();
  }

 private:
  Result<> field() {
    const size_t end = rest_.find('}');
    if (rest_[0] == '}' || end == std::string_view::npos) {
      return fail("format: single brace in the format");
    }
    std::string_view field = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    if (field.find('{') != std::string_view::npos) return fail("format: a field inside a field");
    std::string_view spec;
    if (const size_t colon = field.find(':'); colon != std::string_view::npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = '\0';
    if (field.size() >= 2 && field[field.size() - 2] == '!') {
      conversion = field.back();
      field.remove_suffix(2);
    }
    Value value = TRY(lookup(field));
    if (conversion == 'r') value = TRY(repr_of(runtime_, value));
    if (conversion == 's') value = TRY(to_text(runtime_, value));
    return append_formatted(runtime_, out_, value, TRY(parse_format_spec(spec)));
  }

  /// "", "0", "name", then ".attribute" and "[key]".
  Result<Value> lookup(std::string_view field) {
    const size_t end = std::min(field.find_first_of(".["), field.size());
    Value value = TRY(first(field.substr(0, end)));
    field.remove_prefix(end);
    while (!field.empty()) {
      const bool is_key = field[0] == '[';
      const size_t stop =
          is_key ? field.find(']') : std::min(field.find_first_of(".[", 1), field.size());
      if (stop == std::string_view::npos) return fail("format: ']' missing");
      const std::string_view name = field.substr(1, stop - 1);
      value = TRY(is_key ? path(runtime_, value, TRY(runtime_.string(std::string(name))))
                         : attribute(runtime_, value, name));
      if (value.is_undefined()) return fail_undefined(value);
      field.remove_prefix(is_key ? stop + 1 : stop);
    }
    return value;
  }

  Result<Value> first(std::string_view name) {
    std::string_view digits = name;
    int64_t index = name.empty() ? static_cast<int64_t>(next_++) : TRY(take_number(digits));
    if (index >= 0 && digits.empty()) {
      if (static_cast<size_t>(index) < arguments_.positional.size()) {
        return arguments_.positional[static_cast<size_t>(index)];
      }
      return fail("format: there is no argument " + std::to_string(index));
    }
    for (const auto& [key, value] : arguments_.named) {
      if (*key == name) return value;
    }
    return fail("format: there is no argument '" + std::string(name) + "'");
  }

  Runtime& runtime_;
  std::string_view rest_;
  const CallArguments& arguments_;
  TextBuilder out_;
  size_t next_ = 0;
};

}  // namespace

Result<Value> percent_format(Runtime& runtime, const Value& format, const Value& arguments) {
  return PercentFormatter(runtime, format.string(), arguments).run();
}

Result<Value> brace_format(Runtime& runtime, std::string_view format,
                           const CallArguments& arguments) {
  return BraceFormatter(runtime, format, arguments).run();
}

}  // namespace neuros::text::jinja
