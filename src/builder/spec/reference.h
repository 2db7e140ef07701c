#pragma once

/// What a stage may be given: the request, or what another stage gave, or a field of either.

#include "base/result.h"

#include <string>
#include <string_view>

namespace neuros::builder {

struct Reference {
  std::string source;  ///< "request" or the id of a stage
  std::string field;   ///< empty: all of it

  bool is_request() const { return source == "request"; }
  /// "$docs.count".
  std::string text() const { return "$" + source + (field.empty() ? "" : "." + field); }

  friend bool operator==(const Reference&, const Reference&) = default;
};

/// A letter or underscore, as every name begins.
bool begins_name(char c);
/// Bytes of the name (letters, digits, underscores) at the front; 0: there is none.
size_t name_length(std::string_view text);
/// Bytes of the "docs.count" at the front, without dollar sign; 0: there is none.
size_t reference_length(std::string_view text);

/// "$docs.count" and nothing else.
base::Result<Reference> parse_reference(std::string_view text);
/// From "docs.count", as long as reference_length says.
Reference reference_of(std::string_view text);

}  // namespace neuros::builder
