#pragma once

/// A prompt with references inside: "Notes: $docs\nQuestion: ${text.plain}". "$$" is a dollar sign.

#include "base/result.h"
#include "builder/spec/reference.h"

#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct PromptTemplate {
  /// Text, then what the reference gives; the last piece has no reference.
  struct Piece {
    std::string text;
    Reference reference;  ///< of an empty source: none

    friend bool operator==(const Piece&, const Piece&) = default;
  };
  std::string source;
  std::vector<Piece> pieces;

  std::vector<Reference> references() const;

  friend bool operator==(const PromptTemplate&, const PromptTemplate&) = default;
};

/// Fails on "${" that no reference and "}" follow: "column 7: ...".
base::Result<PromptTemplate> parse_prompt_template(std::string_view text);

}  // namespace neuros::builder
