#pragma once

#include "base/result.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"

#include <string>
#include <string_view>

namespace neuros::text {

/// What a vocabulary does to a text before cutting it: charsmap, normal form, accents, case.
class TextNormalizer {
 public:
  static base::Result<TextNormalizer> create(const Vocabulary& vocabulary);

  /// Whether apply() can change anything at all.
  bool active() const;
  std::string apply(std::string_view text) const;

 private:
  Charsmap charsmap_;
  Normalization form_ = Normalization::kNone;
  bool lower_case_ = false;
  bool strip_accents_ = false;
};

/// How SentencePiece spells the spaces of a text.
struct SpaceRules {
  bool prefix = false;             ///< a space in front ...
  bool prefix_if_missing = false;  ///< ... unless there is one already
  bool remove_extra = false;       ///< none at the ends, runs become one
};

/// Appends `text` with every space written as U+2581. Nothing is appended for a text that `rules`
/// leave empty.
void append_with_space_marks(std::string_view text, SpaceRules rules, std::string& out);

/// The other way: every U+2581 becomes a space.
std::string replace_space_marks(std::string_view text);

}  // namespace neuros::text
