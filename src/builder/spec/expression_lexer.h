#pragma once

/// The words of conditions and routes.

#include "base/result.h"
#include "builder/spec/expression.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct ExpressionToken {
  enum class Kind : uint8_t { kLiteral, kName, kReference, kSymbol, kTarget, kEnd };
  Kind kind = Kind::kEnd;
  int32_t column = 1;  ///< in characters, from 1
  std::string text;    ///< as written
  Value value;         ///< of kLiteral

  bool is(std::string_view word) const {
    return (kind == Kind::kName || kind == Kind::kSymbol) && text == word;
  }
};

/// All tokens, kEnd last. What follows "->" is a kTarget: a name that may have "-" and "." in it.
/// Errors begin with "column N: ".
base::Result<std::vector<ExpressionToken>> tokens_of(std::string_view text);

/// An error at a column of the text.
tl::unexpected<base::Error> fail_at(int32_t column, const std::string& problem);
/// Bytes of the id (a name with "-" and "." inside) at the front; 0: there is none.
size_t id_length(std::string_view text);

}  // namespace neuros::builder
