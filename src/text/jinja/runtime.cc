#include "text/jinja/runtime.h"

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

// What the allocator and the standard containers need beside the data itself.
constexpr int64_t kTextBytes = 96;       ///< a shared text
constexpr int64_t kEntryBytes = 128;     ///< a dict entry with its index
constexpr int64_t kVariableBytes = 128;  ///< a variable of a scope

/// A text that gives its bytes back when the last value that holds it goes.
struct CountedText {
  CountedText(std::string characters, Runtime& owner)
      : text(std::move(characters)), runtime(owner) {}
  ~CountedText() { runtime.release(static_cast<int64_t>(text.size()) + kTextBytes); }
  CountedText(const CountedText&) = delete;
  CountedText& operator=(const CountedText&) = delete;

  const std::string text;
  Runtime& runtime;
};

int64_t bytes_of(size_t values) {
  return static_cast<int64_t>(values * sizeof(Value));
}

}  // namespace

bool Scope::set(std::string_view name, Value value) {
  return variables_.insert_or_assign(name, std::move(value)).second;
}

void Scope::mark_captured() {
  for (Scope* scope = this; scope && !scope->is_captured_; scope = scope->parent_) {
    scope->is_captured_ = true;
  }
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent_) {
    const auto found = scope->variables_.find(name);
    if (found != scope->variables_.end()) return &found->second;
  }
  return nullptr;
}

Result<> Runtime::charge(int64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.steps_max) return {};
  return fail("more than " + std::to_string(limits_.steps_max) + " steps");
}

Result<> Runtime::charge_size(const Value& value) {
  if (value.is_string()) return charge_bytes(value.string().size());
  if (value.is<Dict*>()) return charge(static_cast<int64_t>(value.as<Dict*>()->size()));
  if (!value.is<Sequence*>()) return {};
  return charge(static_cast<int64_t>(value.as<Sequence*>()->items.size()));
}

Result<> Runtime::take(int64_t bytes) {
  if (bytes > limits_.memory_bytes_max - memory_bytes_) {
    return fail("values of more than " + std::to_string(limits_.memory_bytes_max) + " bytes");
  }
  memory_bytes_ += bytes;
  return {};
}

Result<> Runtime::expect_room(int64_t count) {
  if (count <= (limits_.memory_bytes_max - memory_bytes_) / bytes_of(1)) return {};
  return fail("values of more than " + std::to_string(limits_.memory_bytes_max) + " bytes");
}

template <typename T>
Result<T*> Runtime::create(T value, int64_t more_bytes) {
  TRY(charge(1));
  TRY(take(static_cast<int64_t>(sizeof(T)) + more_bytes));
  return &std::get<std::deque<T>>(objects_).emplace_back(std::move(value));
}

Result<Value> Runtime::string(std::string text) {
  TRY(charge_bytes(text.size()));
  TRY(take(static_cast<int64_t>(text.size()) + kTextBytes));
  const auto counted = std::make_shared<CountedText>(std::move(text), *this);
  return Value(Text(counted, &counted->text));
}

Result<Value> Runtime::list(std::vector<Value> items, SequenceKind kind) {
  const int64_t bytes = bytes_of(items.size());
  TRY(charge(static_cast<int64_t>(items.size())));
  return Value(TRY(create(Sequence{.kind = kind, .items = std::move(items)}, bytes)));
}

Result<Value> Runtime::range(Range range) {
  return Value(TRY(create(range)));
}
Result<Value> Runtime::callable(Callable callable) {
  if (callable.scope) callable.scope->mark_captured();
  return Value(TRY(create(std::move(callable))));
}
Result<Value> Runtime::names() {
  return Value(TRY(create(Namespace{})));
}
Result<Dict*> Runtime::dict() {
  return create(Dict{});
}
Result<Loop*> Runtime::loop() {
  return create(Loop{});
}

Result<Scope*> Runtime::scope(Scope* parent) {
  return create(Scope(parent));
}

Result<Scope*> Runtime::next_scope(Scope* done, Scope* parent) {
  if (!done || done->is_captured()) return scope(parent);
  TRY(charge(1));
  release(static_cast<int64_t>(done->size()) * kVariableBytes);
  done->clear();
  return done;
}

Result<> Runtime::set(Scope& scope, std::string_view name, Value value) {
  if (scope.set(name, std::move(value))) TRY(take(kVariableBytes));
  return {};
}

Result<> Runtime::set(Dict& dict, const Value& key, Value value) {
  if (!is_key(key)) return fail("unhashable type: '" + std::string(type_name(key)) + "'");
  TRY(charge_size(key));
  if (!dict.find(key)) TRY(take(kEntryBytes));
  dict.set(key, std::move(value));
  return {};
}

Result<> Runtime::append(Sequence& list, Value value) {
  TRY(charge(1));
  TRY(take(2 * bytes_of(1)));
  list.items.push_back(std::move(value));
  return {};
}

base::Error Runtime::raised(std::string text) {
  has_raised_ = true;
  return {.kind = base::ErrorKind::kInvalid, .message = std::move(text)};
}

Result<> DepthGuard::check() const {
  if (entered_) return {};
  return fail("nested more than " + std::to_string(runtime_.depth_max()) + " levels deep");
}

Result<> TextBuilder::append(std::string_view piece) {
  TRY(runtime_.charge_bytes(piece.size()));
  TRY(runtime_.take(static_cast<int64_t>(piece.size())));
  text_ += piece;
  return {};
}

Result<> TextBuilder::append_repeated(std::string_view piece, int64_t count) {
  if (piece.empty() || count <= 0) return {};
  const auto size = static_cast<int64_t>(piece.size());
  if (count > runtime_.limits().memory_bytes_max / size) {
    return fail("text of more than " + std::to_string(runtime_.limits().memory_bytes_max) +
                " bytes");
  }
  TRY(runtime_.charge(1 + count * size / kStepBytes));
  TRY(runtime_.take(count * size));
  text_.reserve(text_.size() + static_cast<size_t>(count * size));
  for (int64_t i = 0; i < count; ++i) text_ += piece;
  return {};
}

Result<Value> TextBuilder::finish() {
  return runtime_.string(take());
}

std::string TextBuilder::take() {
  runtime_.release(static_cast<int64_t>(text_.size()));
  std::string text = std::move(text_);
  text_.clear();
  return text;
}

}  // namespace neuros::text::jinja
