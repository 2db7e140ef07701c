#pragma once

/// Conditions of stages, loops and routes as a tree, and what they are worth for one request. The
/// grammar is in docs/formats/pipeline.md; expression_parser.h reads it.

#include "base/result.h"
#include "builder/spec/reference.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct Value {
  enum class Type : uint8_t { kNone, kBool, kNumber, kTime, kText };
  Type type = Type::kNone;
  double number = 0.0;  ///< 0 or 1 of a boolean, microseconds of a time
  std::string text;

  static Value of_bool(bool value) { return {Type::kBool, value ? 1.0 : 0.0, ""}; }
  static Value of_number(double value) { return {Type::kNumber, value, ""}; }
  static Value of_time(double us) { return {Type::kTime, us, ""}; }
  static Value of_text(std::string value) { return {Type::kText, 0.0, std::move(value)}; }

  /// Unless it is none, false, 0 or an empty text.
  bool is_true() const;

  friend bool operator==(const Value&, const Value&) = default;
};

/// "a time", for errors.
std::string_view type_name(Value::Type type);

enum class Operation : uint8_t {
  kLiteral,
  kVariable,
  kReference,
  kNot,
  kAnd,
  kOr,
  kEqual,
  kUnequal,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kContains,
};

struct Expression {
  struct Node {
    Operation operation = Operation::kLiteral;
    int32_t column = 1;   ///< in `source`, in characters from 1
    int32_t left = -1;    ///< the operand of kNot too
    int32_t right = -1;   ///< places in `nodes`
    std::string text;     ///< as written, of the first three kinds
    Value value;          ///< of kLiteral
    Reference reference;  ///< of kReference

    friend bool operator==(const Node&, const Node&) = default;
  };
  std::string source;
  std::vector<Node> nodes;  ///< operands before what uses them; the last one is the whole

  std::vector<Reference> references() const;

  friend bool operator==(const Expression&, const Expression&) = default;
};

/// Where the values of one request come from.
struct ValueSource {
  std::function<Value(std::string_view)> variable;
  std::function<Value(const Reference&)> reference;
};

/// Fails where values of different types meet: "column 3: a text compared with a number".
base::Result<bool> evaluate(const Expression& expression, const ValueSource& values);

}  // namespace neuros::builder
