#include "text/jinja/print.h"

#include "text/jinja/ast.h"
#include "text/jinja/builtin.h"
#include "text/jinja/utf8.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace neuros::text::jinja {

using base::Result;

namespace {

std::string_view short_escape(char32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      return {};
  }
}

void append_escaped(std::string& out, char32_t c) {
  const std::string_view known = short_escape(c);
  if (!known.empty()) {
    out += known;
  } else if (utf8::is_printable(c)) {
    utf8::append(out, c);
  } else {
    char escaped[12];
    const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    std::snprintf(escaped, sizeof escaped, format, static_cast<unsigned>(c));
    out += escaped;
  }
}

std::string string_repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t c = utf8::next(text, at);
    if (c == static_cast<char32_t>(quote)) out += '\\';
    append_escaped(out, c);
  }
  return out + quote;
}

std::string callable_repr(const Callable& callable) {
  if (callable.macro) return "<Macro '" + callable.macro->name + "'>";
  return "<function " + std::string(callable.builtin->name) + ">";
}

std::string range_repr(const Range& range) {
  std::string out = "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) out += ", " + std::to_string(range.step);
  return out + ")";
}

/// repr of everything that is no container.
std::string scalar_repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is<bool>()) return value.as<bool>() ? "True" : "False";
  if (value.is<int64_t>()) return std::to_string(value.as<int64_t>());
  if (value.is_float()) return float_text(value.as<double>());
  if (value.is_string()) return string_repr(value.string());
  if (value.is<Range*>()) return range_repr(*value.as<Range*>());
  if (value.is<Callable*>()) return callable_repr(*value.as<Callable*>());
  const Loop& loop = *value.as<Loop*>();
  return "<LoopContext " + std::to_string(loop.index0 + 1) + "/" + std::to_string(loop.length) +
         ">";
}

struct Brackets {
  std::string_view open;
  std::string_view close;
};

Brackets brackets_of(const Sequence& sequence) {
  switch (sequence.kind) {
    case SequenceKind::kList:
      return {"[", "]"};
    case SequenceKind::kTuple:
    case SequenceKind::kGroup:
      return {"(", sequence.items.size() == 1 ? ",)" : ")"};
    case SequenceKind::kKeys:
      return {"dict_keys([", "])"};
    case SequenceKind::kValues:
      return {"dict_values([", "])"};
    case SequenceKind::kItems:
      return {"dict_items([", "])"};
    case SequenceKind::kGenerator:
      break;
  }
  return {"<generator [", "]>"};
}

Result<> append_sequence(Runtime& runtime, TextBuilder& out, const Sequence& sequence) {
  const Brackets brackets = brackets_of(sequence);
  TRY(out.append(brackets.open));
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) TRY(out.append(", "));
    TRY(append_repr(runtime, out, sequence.items[i]));
  }
  return out.append(brackets.close);
}

Result<> append_dict(Runtime& runtime, TextBuilder& out, const Dict& dict) {
  TRY(out.append("{"));
  bool first = true;
  for (const Dict::Entry& entry : dict.entries()) {
    if (!first) TRY(out.append(", "));
    first = false;
    TRY(append_repr(runtime, out, entry.key));
    TRY(out.append(": "));
    TRY(append_repr(runtime, out, entry.value));
  }
  return out.append("}");
}

}  // namespace

Result<> append_repr(Runtime& runtime, TextBuilder& out, const Value& value) {
  const DepthGuard depth(runtime);
  TRY(depth.check());
  if (value.is_string()) TRY(runtime.charge_size(value));
  if (value.is<Sequence*>()) return append_sequence(runtime, out, *value.as<Sequence*>());
  if (value.is<Dict*>()) return append_dict(runtime, out, *value.as<Dict*>());
  if (!value.is<Namespace*>()) return out.append(scalar_repr(value));
  TRY(out.append("<Namespace "));
  TRY(append_dict(runtime, out, value.as<Namespace*>()->attributes));
  return out.append(">");
}

Result<> append_text(Runtime& runtime, TextBuilder& out, const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_string()) return out.append(value.string());
  return append_repr(runtime, out, value);
}

Result<Value> to_text(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  TextBuilder out(runtime);
  TRY(append_text(runtime, out, value));
  return out.finish();
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  char buffer[64];
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace neuros::text::jinja
