#include "text/jinja/filters.h"

#include <string>
#include <unordered_map>
#include <utility>

namespace neuros::text::jinja {

using base::Result;

namespace {

using Index = std::unordered_map<std::string_view, const Builtin*>;

Index make_index() {
  Index index;
  for (const auto table : {text_filters(), sequence_filters(), value_filters()}) {
    for (const Builtin& filter : table) index.emplace(filter.name, &filter);
  }
  return index;
}

}  // namespace

Result<Value> apply_filter(Runtime& runtime, std::string_view name, const Value& input,
                           CallArguments arguments) {
  static const Index index = make_index();
  const auto found = index.find(name);
  if (found == index.end()) return base::fail("No filter named '" + std::string(name) + "'.");
  return call_builtin(runtime, *found->second, input, std::move(arguments));
}

}  // namespace neuros::text::jinja
