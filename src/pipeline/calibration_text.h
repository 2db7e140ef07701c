#pragma once

#include "base/result.h"
#include "text/tokenizer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

/// Text that is like what a model will be used for, as prompts to measure the model on. Control
/// tokens in it are those of the vocabulary, so that it can hold conversations as a model sees them.
struct CalibrationText {
  static constexpr size_t kFileBytesMax = size_t{16} << 20;
  static constexpr size_t kTokensLeast = 128;  ///< fewer say little of how a model is used
  static constexpr size_t kPartsMax = 4;

  std::string path;
  int64_t tokens = 0;  ///< of the text in all parts; not those that each part begins with
  std::vector<std::vector<int32_t>> parts{};

  std::string description() const { return std::to_string(tokens) + " tokens of " + path; }
};

/// Reads UTF-8 text and cuts it into parts of at most `part_tokens`, each with the vocabulary's
/// BOS in front where it has one. A longer text is sampled: kPartsMax parts at equal distances,
/// from its first token to its last. Errors name the file: one that is not there, is larger than
/// kFileBytesMax, empty, no UTF-8, or has less than kTokensLeast tokens.
base::Result<CalibrationText> read_calibration_text(const std::string& path,
                                                    const text::Tokenizer& tokenizer,
                                                    size_t part_tokens);

}  // namespace neuros::pipeline
