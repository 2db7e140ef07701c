#include "text/jinja/builtin.h"

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

struct Parameter {
  std::string_view name;
  bool required = true;
};

/// Takes the first parameter off a row's list.
Parameter next_parameter(std::string_view& list) {
  const size_t end = list.find(' ');
  Parameter parameter{.name = list.substr(0, end)};
  list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
  if (parameter.name.ends_with('=')) {
    parameter.name.remove_suffix(1);
    parameter.required = false;
  }
  return parameter;
}

const Value* find_named(const CallArguments& call, std::string_view name) {
  for (const auto& [key, value] : call.named) {
    if (*key == name) return &value;
  }
  return nullptr;
}

}  // namespace

Result<Arguments> Arguments::bind(const Builtin& builtin, CallArguments call) {
  Arguments arguments;
  arguments.raw_ = std::move(call);
  if (builtin.parameters == "*") return arguments;
  const auto& raw = arguments.raw_;
  size_t named_used = 0;
  for (std::string_view list = builtin.parameters; !list.empty();) {
    const Parameter parameter = next_parameter(list);
    const size_t index = arguments.bound_.size();
    const Value* named = find_named(raw, parameter.name);
    const Value* value = index < raw.positional.size() ? &raw.positional[index] : named;
    if (!value && parameter.required) {
      return fail(std::string(builtin.name) + ": argument '" + std::string(parameter.name) +
                  "' is missing");
    }
    if (named && value == named) ++named_used;
    arguments.bound_.push_back(value ? *value : Value());
    arguments.given_.push_back(value != nullptr);
  }
  const size_t limit = arguments.bound_.size();
  if (raw.positional.size() > limit || named_used < raw.named.size()) {
    return fail(std::string(builtin.name) + ": unexpected argument, it takes (" +
                std::string(builtin.parameters) + ")");
  }
  return arguments;
}

const Value& Arguments::operator[](size_t index) const {
  CHECK(index < bound_.size());
  return bound_[index];
}

Result<int64_t> Arguments::integer(size_t index, int64_t fallback) const {
  const Value* value = find(index);
  if (!value || value->is_none()) return fallback;
  if (value->is_undefined()) return fail_undefined(*value);
  if (!value->is_integral()) {
    return fail("'" + std::string(type_name(*value)) + "' object cannot be an integer");
  }
  return value->integer();
}

Result<std::string_view> Arguments::string(size_t index, std::string_view fallback) const {
  const Value* value = find(index);
  if (!value || value->is_none()) return fallback;
  if (value->is_undefined()) return fail_undefined(*value);
  if (!value->is_string()) {
    return fail("expected a str, not '" + std::string(type_name(*value)) + "'");
  }
  return value->string();
}

Result<Value> call_builtin(Runtime& runtime, const Builtin& builtin, const Value& self,
                           CallArguments call) {
  TRY(runtime.charge_size(self));
  for (const Value& value : call.positional) TRY(runtime.charge_size(value));
  for (const auto& [name, value] : call.named) TRY(runtime.charge_size(value));
  const Arguments arguments = TRY(Arguments::bind(builtin, std::move(call)));
  return builtin.run(runtime, self, arguments);
}

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) {
  for (const Builtin& builtin : table) {
    if (builtin.name == name) return &builtin;
  }
  return nullptr;
}

tl::unexpected<base::Error> fail_undefined(const Value& value) {
  const Text& reason = value.as<Undefined>().reason;
  return fail(reason ? *reason : "value is undefined");
}

}  // namespace neuros::text::jinja
