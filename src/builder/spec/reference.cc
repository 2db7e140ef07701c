#include "builder/spec/reference.h"

#include "formats/printable.h"

namespace neuros::builder {
namespace {

bool continues_name(char c) {
  return begins_name(c) || (c >= '0' && c <= '9');
}

}  // namespace

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

size_t name_length(std::string_view text) {
  if (text.empty() || !begins_name(text.front())) return 0;
  size_t length = 1;
  while (length < text.size() && continues_name(text[length])) ++length;
  return length;
}

size_t reference_length(std::string_view text) {
  const size_t source = name_length(text);
  if (source == 0 || source + 1 >= text.size() || text[source] != '.') return source;
  const size_t field = name_length(text.substr(source + 1));
  return field == 0 ? source : source + 1 + field;
}

Reference reference_of(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

base::Result<Reference> parse_reference(std::string_view text) {
  const bool marked = text.starts_with('$');
  const std::string_view named = text.substr(marked ? 1 : 0);
  if (!marked || named.empty() || reference_length(named) != named.size()) {
    return base::fail(formats::printable(text) +
                      ", expected $request, $STAGE or either with a .field");
  }
  return reference_of(named);
}

}  // namespace neuros::builder
