#include "pipeline/calibration_text.h"

#include "base/mapped_file.h"
#include "text/unicode.h"

#include <algorithm>
#include <span>

namespace neuros::pipeline {
namespace {

base::Result<std::string> read_utf8_file(const std::string& path) {
  std::string text = TRY(base::read_text_file(path, CalibrationText::kFileBytesMax));
  if (text.empty()) return base::fail(path + ": empty, expected text");
  const size_t valid = text::valid_utf8_prefix(text);
  if (valid == text.size()) return text;
  return base::fail(path + ": byte " + std::to_string(valid) + " is not UTF-8");
}

/// Where parts of `room` tokens begin in a text of `tokens`.
std::vector<size_t> part_starts(size_t tokens, size_t room) {
  constexpr size_t kParts = CalibrationText::kPartsMax;
  std::vector<size_t> starts;
  if (tokens <= kParts * room) {
    for (size_t start = 0; start < tokens; start += room) starts.push_back(start);
  } else {
    for (size_t i = 0; i < kParts; ++i) starts.push_back(i * (tokens - room) / (kParts - 1));
  }
  return starts;
}

}  // namespace

base::Result<CalibrationText> read_calibration_text(const std::string& path,
                                                    const text::Tokenizer& tokenizer,
                                                    size_t part_tokens) {
  const std::string text = TRY(read_utf8_file(path));
  const std::vector<int32_t> ids =
      tokenizer.encode(text, {.add_special = false, .parse_special = true});
  if (ids.size() < CalibrationText::kTokensLeast) {
    return base::fail(path + ": " + std::to_string(ids.size()) + " tokens, expected at least " +
                      std::to_string(CalibrationText::kTokensLeast));
  }
  const text::Vocabulary& vocabulary = tokenizer.vocabulary();
  std::vector<int32_t> prefix;
  if (vocabulary.add_bos && vocabulary.bos) prefix.push_back(*vocabulary.bos);
  if (part_tokens <= prefix.size()) {
    return base::fail(path + ": the model's context of " + std::to_string(part_tokens) +
                      " tokens has no room for text");
  }
  const size_t room = part_tokens - prefix.size();
  CalibrationText calibration{.path = path};
  for (const size_t start : part_starts(ids.size(), room)) {
    const auto part = std::span(ids).subspan(start, std::min(room, ids.size() - start));
    calibration.tokens += std::ssize(part);
    calibration.parts.push_back(prefix);
    calibration.parts.back().insert(calibration.parts.back().end(), part.begin(), part.end());
  }
  return calibration;
}

}  // namespace neuros::pipeline
