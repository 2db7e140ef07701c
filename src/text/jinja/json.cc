#include "text/jinja/json.h"

#include "text/jinja/builtin.h"
#include "text/jinja/print.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <nlohmann/json.hpp>

namespace neuros::text::jinja {

using base::fail;
using base::Result;
using nlohmann::ordered_json;

namespace {

Value from_unsigned(uint64_t number) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (number > kMax) return Value(static_cast<double>(number));
  return Value(static_cast<int64_t>(number));
}

Result<Value> from_json_array(Runtime& runtime, const ordered_json& json) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const ordered_json& item : json) items.push_back(TRY(from_json(runtime, item)));
  return runtime.list(std::move(items));
}

Result<Value> from_json_object(Runtime& runtime, const ordered_json& json) {
  Dict* dict = TRY(runtime.dict());
  for (auto it = json.begin(); it != json.end(); ++it) {
    const Value key = TRY(runtime.string(it.key()));
    TRY(runtime.set(*dict, key, TRY(from_json(runtime, it.value()))));
  }
  return Value(dict);
}

void append_unicode_escape(std::string& out, uint32_t unit) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 15];
}

std::string_view short_escape(char32_t c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\f':
      return "\\f";
    case '\b':
      return "\\b";
    default:
      return {};
  }
}

void append_escaped(std::string& out, char32_t c, bool ensure_ascii) {
  const std::string_view known = short_escape(c);
  if (!known.empty()) {
    out += known;
  } else if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000)) {
    append_unicode_escape(out, c);
  } else if (ensure_ascii && c >= 0x10000) {
    append_unicode_escape(out, 0xD800 + ((c - 0x10000) >> 10));
    append_unicode_escape(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
  } else {
    utf8::append(out, c);
  }
}

std::string quoted(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) append_escaped(out, utf8::next(text, at), ensure_ascii);
  return out + '"';
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_text(value);
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style)
      : runtime_(runtime), style_(style), out_(runtime) {}

  Result<> write(const Value& value) {
    const DepthGuard depth(runtime_);
    TRY(depth.check());
    if (value.is<Dict*>()) return write_dict(*value.as<Dict*>());
    if (value.is<Sequence*>()) {
      const Sequence& sequence = *value.as<Sequence*>();
      if (sequence.is_indexed()) return write_list(sequence);
    }
    return write_scalar(value);
  }

  Result<Value> finish() { return out_.finish(); }

 private:
  Result<> write_scalar(const Value& value) {
    if (value.is_string()) return write_string(value);
    if (value.is_none()) return out_.append("null");
    if (value.is<bool>()) return out_.append(value.as<bool>() ? "true" : "false");
    if (value.is<int64_t>()) return out_.append(std::to_string(value.as<int64_t>()));
    if (value.is_float()) return out_.append(number_text(value.as<double>()));
    return fail("Object of type " + std::string(type_name(value)) + " is not JSON serializable");
  }

  Result<> write_string(const Value& value) {
    TRY(runtime_.charge_size(value));
    return out_.append(quoted(value.string(), style_.ensure_ascii));
  }

  Result<> write_list(const Sequence& list) {
    if (list.items.empty()) return out_.append("[]");
    TRY(open("["));
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) TRY(separate());
      TRY(write(list.items[i]));
    }
    return close("]");
  }

  Result<> write_dict(const Dict& dict) {
    if (dict.size() == 0) return out_.append("{}");
    const std::vector<const Dict::Entry*> entries = TRY(ordered(dict));
    TRY(open("{"));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) TRY(separate());
      TRY(write_key(entries[i]->key));
      TRY(out_.append(style_.key_separator));
      TRY(write(entries[i]->value));
    }
    return close("}");
  }

  Result<std::vector<const Dict::Entry*>> ordered(const Dict& dict) {
    TRY(runtime_.charge(static_cast<int64_t>(dict.size())));
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : dict.entries()) {
      if (style_.sort_keys && !entry.key.is_string())
        return fail("tojson: only text keys can be sorted");
      entries.push_back(&entry);
    }
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
        return a->key.string() < b->key.string();
      });
    }
    return entries;
  }

  Result<> write_key(const Value& key) {
    if (key.is_string()) return write_string(key);
    if (!key.is_none() && !key.is_number()) return fail("tojson: a key must be a scalar");
    TRY(out_.append("\""));
    TRY(write_scalar(key));
    return out_.append("\"");
  }

  Result<> break_line() {
    if (!style_.indent) return {};
    TRY(out_.append("\n"));
    return out_.append_repeated(*style_.indent, level_);
  }

  Result<> open(std::string_view bracket) {
    ++level_;
    TRY(out_.append(bracket));
    return break_line();
  }

  Result<> separate() {
    TRY(out_.append(style_.item_separator));
    return break_line();
  }

  Result<> close(std::string_view bracket) {
    --level_;
    TRY(break_line());
    return out_.append(bracket);
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder out_;
  int64_t level_ = 0;
};

}  // namespace

Result<Value> from_json(Runtime& runtime, const ordered_json& json) {
  const DepthGuard depth(runtime);
  TRY(depth.check());
  switch (json.type()) {
    case ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case ordered_json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case ordered_json::value_t::number_unsigned:
      return from_unsigned(json.get<uint64_t>());
    case ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case ordered_json::value_t::string:
      return runtime.string(json.get_ref<const std::string&>());
    case ordered_json::value_t::array:
      return from_json_array(runtime, json);
    case ordered_json::value_t::object:
      return from_json_object(runtime, json);
    default:
      return Value(None{});
  }
}

Result<Value> to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  TRY(writer.write(value));
  return writer.finish();
}

}  // namespace neuros::text::jinja
