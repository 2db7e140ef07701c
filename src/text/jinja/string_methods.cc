#include "text/jinja/access.h"
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

constexpr size_t kNone = std::string_view::npos;

Result<std::optional<std::string_view>> optional_string(const Arguments& arguments, size_t index) {
  const Value* value = arguments.find(index);
  if (!value || value->is_none()) return std::nullopt;
  return TRY(arguments.string(index, ""));
}

template <Side side>
Result<Value> strip_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto characters = TRY(optional_string(arguments, 0));
  const int64_t set_size = characters ? static_cast<int64_t>(characters->size()) : 0;
  TRY(runtime.charge(set_size * static_cast<int64_t>(1 + self.string().size() / 16)));
  return runtime.string(std::string(strip(self.string(), characters, side)));
}

template <std::string (*convert)(std::string_view)>
Result<Value> convert_method(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.string(convert(self.string()));
}

std::string swapcase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const bool is_upper = utf8::is_upper(utf8::next(text, at));
    const std::string_view one = text.substr(start, at - start);
    out += is_upper ? utf8::lower(one) : utf8::upper(one);
  }
  return out;
}

Result<Value> to_list(Runtime& runtime, const std::vector<std::string_view>& parts,
                      SequenceKind kind = SequenceKind::kList) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(TRY(runtime.string(std::string(part))));
  return runtime.list(std::move(items), kind);
}

/// Splits at white space from the left; the last part keeps its white space.
std::vector<std::string_view> split_words(std::string_view text, int64_t splits_max) {
  std::vector<std::string_view> words;
  text = strip(text, std::nullopt, Side::kLeft);
  while (!text.empty()) {
    if (splits_max >= 0 && static_cast<int64_t>(words.size()) == splits_max) {
      words.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && utf8::leading_space(text.substr(end, 4)) == 0)
      utf8::next(text, end);
    words.push_back(text.substr(0, end));
    text = strip(text.substr(end), std::nullopt, Side::kLeft);
  }
  return words;
}

std::vector<std::string_view> split_words_right(std::string_view text, int64_t splits_max) {
  if (splits_max < 0) return split_words(text, -1);
  const std::vector<std::string_view> words = split_words(text, -1);
  const auto total = static_cast<int64_t>(words.size());
  if (total <= splits_max + 1) return words;
  const size_t joined = static_cast<size_t>(total - splits_max);
  const char* start = text.data();
  const char* end = words[joined - 1].data() + words[joined - 1].size();
  std::vector<std::string_view> out = {std::string_view(start, static_cast<size_t>(end - start))};
  out.insert(out.end(), words.begin() + static_cast<std::ptrdiff_t>(joined), words.end());
  return out;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t splits_max) {
  std::vector<std::string_view> parts;
  size_t from = 0;
  while (splits_max < 0 || static_cast<int64_t>(parts.size()) < splits_max) {
    const size_t found = find_text(text, separator, from);
    if (found == kNone) break;
    parts.push_back(text.substr(from, found - from));
    from = found + separator.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

std::vector<std::string_view> split_at_right(std::string_view text, std::string_view separator,
                                             int64_t splits_max) {
  std::vector<std::string_view> parts;
  while (splits_max < 0 || static_cast<int64_t>(parts.size()) < splits_max) {
    const size_t found = text.rfind(separator);
    if (found == kNone) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <auto split_by, auto split_by_space>
Result<Value> split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t splits_max = TRY(arguments.integer(1, -1));
  const auto separator = TRY(optional_string(arguments, 0));
  if (!separator) return to_list(runtime, split_by_space(self.string(), splits_max));
  if (separator->empty()) return fail("empty separator");
  // The search from the right compares at every byte.
  TRY(runtime.charge(static_cast<int64_t>((1 + self.string().size() / 32) * separator->size())));
  return to_list(runtime, split_by(self.string(), *separator, splits_max));
}

Result<Value> splitlines_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const LineEnds ends = arguments.flag(0, false) ? LineEnds::kKeep : LineEnds::kDrop;
  return to_list(runtime, split_lines(self.string(), ends));
}

Result<Value> partition_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view text = self.string();
  const std::string_view separator = TRY(arguments.string(0, ""));
  if (separator.empty()) return fail("empty separator");
  const size_t found = find_text(text, separator);
  if (found == kNone) return to_list(runtime, {text, "", ""}, SequenceKind::kTuple);
  return to_list(runtime, {text.substr(0, found), separator, text.substr(found + separator.size())},
                 SequenceKind::kTuple);
}

Result<Value> rpartition_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view text = self.string();
  const std::string_view separator = TRY(arguments.string(0, ""));
  if (separator.empty()) return fail("empty separator");
  const size_t found = find_last_text(text, separator);
  if (found == kNone) return to_list(runtime, {"", "", text}, SequenceKind::kTuple);
  return to_list(runtime, {text.substr(0, found), separator, text.substr(found + separator.size())},
                 SequenceKind::kTuple);
}

/// text[start:end] for methods that take these two after their first argument.
struct Window {
  std::string_view text;
  int64_t start = 0;  ///< in code points
};

Result<Window> window(const Value& self, const Arguments& arguments) {
  const std::string_view text = self.string();
  if (!arguments.has(1) && !arguments.has(2)) return Window{.text = text};
  const auto size = static_cast<int64_t>(utf8::count(text));
  const auto clamp = [size](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t start = clamp(TRY(arguments.integer(1, 0)));
  const int64_t end = std::max(start, clamp(TRY(arguments.integer(2, size))));
  const size_t first = utf8::offset(text, static_cast<size_t>(start));
  const size_t last = utf8::offset(text, static_cast<size_t>(end));
  return Window{.text = text.substr(first, last - first), .start = start};
}

template <bool from_right, bool must_exist>
Result<Value> find_method_of(Runtime&, const Value& self, const Arguments& arguments) {
  const Window in = TRY(window(self, arguments));
  const std::string_view wanted = TRY(arguments.string(0, ""));
  const size_t found = from_right ? find_last_text(in.text, wanted) : find_text(in.text, wanted);
  if (found == kNone && must_exist) return fail("substring not found");
  if (found == kNone) return Value(int64_t{-1});
  return Value(in.start + static_cast<int64_t>(utf8::count(in.text.substr(0, found))));
}

Result<Value> count_method(Runtime&, const Value& self, const Arguments& arguments) {
  const Window in = TRY(window(self, arguments));
  const std::string_view wanted = TRY(arguments.string(0, ""));
  if (wanted.empty()) return Value(static_cast<int64_t>(utf8::count(in.text)) + 1);
  const auto parts = split_at(in.text, wanted, -1);
  return Value(static_cast<int64_t>(parts.size()) - 1);
}

/// Whether `matches(text, part)` for the argument or, when it is a tuple, for one in it.
template <bool at_end>
Result<Value> affix_method(Runtime&, const Value& self, const Arguments& arguments) {
  const std::string_view text = TRY(window(self, arguments)).text;
  const auto matches = [text](const Value& part) -> Result<bool> {
    if (part.is_undefined()) return fail_undefined(part);
    if (!part.is_string()) {
      return fail(std::string(at_end ? "endswith" : "startswith") +
                  " first arg must be str or a tuple of str, not " + std::string(type_name(part)));
    }
    return at_end ? text.ends_with(part.string()) : text.starts_with(part.string());
  };
  const Value& wanted = arguments[0];
  if (!wanted.is<Sequence*>() || !wanted.as<Sequence*>()->is_tuple()) {
    return Value(TRY(matches(wanted)));
  }
  for (const Value& part : wanted.as<Sequence*>()->items) {
    if (TRY(matches(part))) return Value(true);
  }
  return Value(false);
}

Result<Value> replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view old_part = TRY(arguments.string(0, ""));
  const std::string_view new_part = TRY(arguments.string(1, ""));
  return replace_text(runtime, self.string(), old_part, new_part, TRY(arguments.integer(2, -1)));
}

Result<Value> removeprefix_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view prefix = TRY(arguments.string(0, ""));
  if (!self.string().starts_with(prefix)) return self;
  return runtime.string(std::string(self.string().substr(prefix.size())));
}

Result<Value> removesuffix_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view suffix = TRY(arguments.string(0, ""));
  if (!self.string().ends_with(suffix)) return self;
  return runtime.string(std::string(self.string().substr(0, self.string().size() - suffix.size())));
}

Result<Value> join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TextBuilder out(runtime);
  bool first = true;
  for (const Value& item : TRY(iterate(runtime, arguments[0]))) {
    if (!item.is_string()) {
      return fail("join: expected str instance, " + std::string(type_name(item)) + " found");
    }
    if (!first) TRY(out.append(self.string()));
    first = false;
    TRY(out.append(item.string()));
  }
  return out.finish();
}

Result<Value> format_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return brace_format(runtime, self.string(), arguments.raw());
}

template <char align>
Result<Value> pad_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t width = TRY(arguments.integer(0, 0));
  const std::string_view fill = TRY(arguments.string(1, " "));
  if (utf8::count(fill) != 1) return fail("the fill character must be exactly one character long");
  return pad_text(runtime, self.string(), width, align, fill);
}

Result<Value> zfill_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::string_view text = self.string();
  const int64_t width = TRY(arguments.integer(0, 0));
  TextBuilder out(runtime);
  const bool has_sign = text.starts_with('-') || text.starts_with('+');
  if (has_sign) TRY(out.append(text.substr(0, 1)));
  const auto size = static_cast<int64_t>(utf8::count(text));
  TRY(out.append_repeated("0", width > size ? width - size : 0));
  TRY(out.append(text.substr(has_sign ? 1 : 0)));
  return out.finish();
}

/// Whether a text is not empty and all its code points satisfy `test`.
template <auto test>
Result<Value> all_method(Runtime&, const Value& self, const Arguments&) {
  const std::string_view text = self.string();
  for (size_t at = 0; at < text.size();) {
    if (!test(utf8::next(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

bool is_alphanumeric(char32_t c) {
  return utf8::is_alpha(c) || utf8::is_digit(c);
}

/// Whether there are letters of the `wanted` case and none of the other one.
template <auto wanted, auto other>
Result<Value> case_method(Runtime&, const Value& self, const Arguments&) {
  const std::string_view text = self.string();
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = utf8::next(text, at);
    if (other(c)) return Value(false);
    found = found || wanted(c);
  }
  return Value(found);
}

constexpr Builtin kStringMethods[] = {
    {"strip", "chars=", strip_method<Side::kBoth>},
    {"lstrip", "chars=", strip_method<Side::kLeft>},
    {"rstrip", "chars=", strip_method<Side::kRight>},
    {"split", "sep= maxsplit=", split_method<split_at, split_words>},
    {"rsplit", "sep= maxsplit=", split_method<split_at_right, split_words_right>},
    {"splitlines", "keepends=", splitlines_method},
    {"partition", "sep", partition_method},
    {"rpartition", "sep", rpartition_method},
    {"startswith", "prefix start= end=", affix_method<false>},
    {"endswith", "suffix start= end=", affix_method<true>},
    {"removeprefix", "prefix", removeprefix_method},
    {"removesuffix", "suffix", removesuffix_method},
    {"replace", "old new count=", replace_method},
    {"join", "iterable", join_method},
    {"format", "*", format_method},
    {"find", "sub start= end=", find_method_of<false, false>},
    {"rfind", "sub start= end=", find_method_of<true, false>},
    {"index", "sub start= end=", find_method_of<false, true>},
    {"rindex", "sub start= end=", find_method_of<true, true>},
    {"count", "sub start= end=", count_method},
    {"upper", "", convert_method<utf8::upper>},
    {"lower", "", convert_method<utf8::lower>},
    {"casefold", "", convert_method<utf8::lower>},
    {"title", "", convert_method<utf8::title>},
    {"capitalize", "", convert_method<utf8::capitalize>},
    {"swapcase", "", convert_method<swapcase>},
    {"center", "width fillchar=", pad_method<kCenter>},
    {"ljust", "width fillchar=", pad_method<'<'>},
    {"rjust", "width fillchar=", pad_method<'>'>},
    {"zfill", "width", zfill_method},
    {"isdigit", "", all_method<utf8::is_digit>},
    {"isdecimal", "", all_method<utf8::is_digit>},
    {"isnumeric", "", all_method<utf8::is_digit>},
    {"isalpha", "", all_method<utf8::is_alpha>},
    {"isalnum", "", all_method<is_alphanumeric>},
    {"isspace", "", all_method<utf8::is_space>},
    {"isupper", "", case_method<utf8::is_upper, utf8::is_lower>},
    {"islower", "", case_method<utf8::is_lower, utf8::is_upper>},
};

}  // namespace

std::span<const Builtin> string_methods() {
  return kStringMethods;
}

}  // namespace neuros::text::jinja
