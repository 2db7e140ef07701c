#pragma once

/// Python's operators on values.

#include "base/result.h"
#include "text/jinja/runtime.h"

namespace neuros::text::jinja {

enum class BinaryOperator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class CompareOperator {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

/// Integers are 64 bits wide; a result that does not fit is an error.
base::Result<Value> apply(Runtime& runtime, BinaryOperator op, const Value& left,
                          const Value& right);
base::Result<Value> negate(const Value& value);

base::Result<bool> compare(Runtime& runtime, CompareOperator op, const Value& left,
                           const Value& right);
base::Result<bool> equal(Runtime& runtime, const Value& left, const Value& right);
base::Result<bool> less(Runtime& runtime, const Value& left, const Value& right);
/// `item in container`.
base::Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);

}  // namespace neuros::text::jinja
