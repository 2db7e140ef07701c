#include "text/jinja/access.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
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

template <std::string (*convert)(std::string_view)>
Result<Value> convert_filter(Runtime& runtime, const Value& input, const Arguments&) {
  const Value text = TRY(to_text(runtime, input));
  return runtime.string(convert(text.string()));
}

bool starts_word(char32_t c) {
  return utf8::is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

/// The title filter: words end at blanks, hyphens and opening brackets.
std::string title_words(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    while (at < text.size() && !starts_word(utf8::next(text, at))) {
    }
    const std::string_view word = text.substr(start, at - start);
    size_t first = 0;
    utf8::next(word, first);
    out += utf8::upper(word.substr(0, first)) + utf8::lower(word.substr(first));
  }
  return out;
}

std::string_view html_escape(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&#34;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const std::string_view escaped = html_escape(c);
    escaped.empty() ? out += c : out += escaped;
  }
  return out;
}

Result<Value> string_filter(Runtime& runtime, const Value& input, const Arguments&) {
  return to_text(runtime, input);
}

Result<Value> safe_filter(Runtime& runtime, const Value& input, const Arguments&) {
  return to_text(runtime, input);
}

Result<Value> trim_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, input));
  std::optional<std::string_view> characters;
  if (arguments.has(0) && !arguments[0].is_none()) characters = TRY(arguments.string(0, ""));
  return runtime.string(std::string(strip(text.string(), characters, Side::kBoth)));
}

Result<Value> replace_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, input));
  const Value old_part = TRY(to_text(runtime, arguments[0]));
  const Value new_part = TRY(to_text(runtime, arguments[1]));
  const int64_t count = TRY(arguments.integer(2, -1));
  return replace_text(runtime, text.string(), old_part.string(), new_part.string(), count);
}

Result<Value> center_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, input));
  return pad_text(runtime, text.string(), TRY(arguments.integer(0, 80)), kCenter);
}

Result<Value> indention_of(Runtime& runtime, const Arguments& arguments) {
  if (arguments.has(0) && arguments[0].is_string()) return arguments[0];
  TextBuilder blanks(runtime);
  TRY(blanks.append_repeated(" ", TRY(arguments.integer(0, 4))));
  return blanks.finish();
}

Result<Value> indent_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, input));
  const Value indention = TRY(indention_of(runtime, arguments));
  const bool first = arguments.flag(1, false);
  const bool blank = arguments.flag(2, false);
  const std::string with_end = std::string(text.string()) + "\n";
  TextBuilder out(runtime);
  bool at_start = true;
  for (const std::string_view line : split_lines(with_end)) {
    if (!at_start) TRY(out.append("\n"));
    const bool indents = at_start ? first : blank || !line.empty();
    if (indents) TRY(out.append(indention.string()));
    TRY(out.append(line));
    at_start = false;
  }
  return out.finish();
}

Result<Value> truncate_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, input));
  const int64_t length = TRY(arguments.integer(0, 255));
  const std::string_view end = TRY(arguments.string(2, "..."));
  const int64_t leeway = TRY(arguments.integer(3, 5));
  const auto end_length = static_cast<int64_t>(utf8::count(end));
  if (length < end_length || leeway < 0) return fail("truncate: the length is less than the end's");
  const auto size = static_cast<int64_t>(utf8::count(text.string()));
  if (size <= length || size - length <= leeway) return text;
  const size_t kept = utf8::offset(text.string(), static_cast<size_t>(length - end_length));
  std::string_view head = text.string().substr(0, kept);
  if (!arguments.flag(1, false)) head = head.substr(0, head.rfind(' '));
  return runtime.string(std::string(head) + std::string(end));
}

Result<Value> wordcount_filter(Runtime& runtime, const Value& input, const Arguments&) {
  const Value text = TRY(to_text(runtime, input));
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.string().size();) {
    const char32_t c = utf8::next(text.string(), at);
    const bool is_word = utf8::is_alpha(c) || utf8::is_digit(c) || c == '_';
    if (is_word && !inside) ++words;
    inside = is_word;
  }
  return Value(words);
}

Result<Value> format_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value format = TRY(to_text(runtime, input));
  const CallArguments& raw = arguments.raw();
  if (!raw.named.empty() && !raw.positional.empty()) {
    return fail("format: either positional or named arguments");
  }
  if (raw.named.empty()) {
    return percent_format(runtime, format, TRY(runtime.list(raw.positional, SequenceKind::kTuple)));
  }
  Dict* named = TRY(runtime.dict());
  for (const auto& [name, value] : raw.named) TRY(runtime.set(*named, Value(name), value));
  return percent_format(runtime, format, Value(named));
}

std::string percent_encode(std::string_view text, std::string_view safe) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos || safe.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

/// One part of a query, where a blank is a plus.
std::string encode_query(std::string_view text) {
  std::string out = percent_encode(text, " ");
  std::replace(out.begin(), out.end(), ' ', '+');
  return out;
}

Result<std::vector<Value>> query_pairs(Runtime& runtime, const Value& input) {
  if (!input.is<Dict*>()) return iterate(runtime, input);
  std::vector<Value> pairs;
  for (const Dict::Entry& entry : input.as<Dict*>()->entries()) {
    pairs.push_back(TRY(runtime.list({entry.key, entry.value}, SequenceKind::kTuple)));
  }
  return pairs;
}

Result<Value> urlencode_filter(Runtime& runtime, const Value& input, const Arguments&) {
  const bool is_query = input.is<Dict*>() || input.is<Sequence*>();
  if (!is_query) {
    const Value text = TRY(to_text(runtime, input));
    return runtime.string(percent_encode(text.string(), "/"));
  }
  TextBuilder out(runtime);
  for (const Value& item : TRY(query_pairs(runtime, input))) {
    const std::vector<Value> pair = TRY(iterate(runtime, item));
    if (pair.size() != 2) return fail("urlencode: an element is no pair");
    if (out.size() > 0) TRY(out.append("&"));
    TRY(out.append(encode_query(TRY(to_text(runtime, pair[0])).string())));
    TRY(out.append("="));
    TRY(out.append(encode_query(TRY(to_text(runtime, pair[1])).string())));
  }
  return out.finish();
}

constexpr Builtin kFilters[] = {
    {"upper", "", convert_filter<utf8::upper>},
    {"lower", "", convert_filter<utf8::lower>},
    {"capitalize", "", convert_filter<utf8::capitalize>},
    {"title", "", convert_filter<title_words>},
    {"escape", "", convert_filter<escape_html>},
    {"e", "", convert_filter<escape_html>},
    {"forceescape", "", convert_filter<escape_html>},
    {"string", "", string_filter},
    {"safe", "", safe_filter},
    {"trim", "chars=", trim_filter},
    {"replace", "old new count=", replace_filter},
    {"center", "width=", center_filter},
    {"indent", "width= first= blank=", indent_filter},
    {"truncate", "length= killwords= end= leeway=", truncate_filter},
    {"wordcount", "", wordcount_filter},
    {"format", "*", format_filter},
    {"urlencode", "", urlencode_filter},
};

}  // namespace

std::span<const Builtin> text_filters() {
  return kFilters;
}

}  // namespace neuros::text::jinja
