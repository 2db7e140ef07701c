#include "text/vocabulary_tiktoken.h"

#include "text/base64.h"
#include "text/byte_alphabet.h"
#include "text/end_of_generation.h"
#include "text/known_pre_tokenizers.h"

#include <algorithm>
#include <charconv>

namespace neuros::text {
namespace {

constexpr size_t kLinesMax = size_t{1} << 22;

struct Line {
  std::string bytes;
  uint32_t rank = 0;
};

base::Result<Line> parse_line(std::string_view line, size_t number) {
  const auto bad = [number](const std::string& what) {
    return base::fail("tiktoken: line " + std::to_string(number) + ": " + what);
  };
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return bad("no rank");
  auto bytes = decode_base64(line.substr(0, space));
  if (!bytes || bytes->empty()) return bad("not base64");
  Line result{std::move(*bytes), 0};
  const std::string_view digits = line.substr(space + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), result.rank);
  if (error != std::errc() || end != digits.data() + digits.size()) return bad("bad rank");
  return result;
}

base::Result<std::vector<Line>> parse_lines(std::string_view text) {
  std::vector<Line> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (lines.size() == kLinesMax)
      return base::fail("tiktoken: more than " + std::to_string(kLinesMax) + " lines");
    lines.push_back(TRY(parse_line(line, number)));
  }
  return lines;
}

base::Result<std::vector<Piece>> pieces_by_rank(const std::vector<Line>& lines) {
  std::vector<Piece> pieces(lines.size());
  for (const Line& line : lines) {
    if (line.rank >= pieces.size() || !pieces[line.rank].text.empty())
      return base::fail("tiktoken: rank " + std::to_string(line.rank) +
                        " occurs twice or is not below the number of lines, " +
                        std::to_string(lines.size()));
    pieces[line.rank].text = to_byte_alphabet(line.bytes);
  }
  return pieces;
}

base::Result<std::optional<TokenId>> special_id(const Vocabulary& v, size_t first,
                                                const std::string& text) {
  if (text.empty()) return std::nullopt;
  for (size_t id = first; id < v.pieces.size(); ++id)
    if (v.pieces[id].text == text) return static_cast<TokenId>(id);
  return base::fail("tiktoken: '" + text + "' is not among the special tokens");
}

}  // namespace

TiktokenOptions llama3_tiktoken_options() {
  TiktokenOptions options;
  options.special_tokens = {
      "<|begin_of_text|>",
      "<|end_of_text|>",
      "<|reserved_special_token_0|>",
      "<|reserved_special_token_1|>",
      "<|finetune_right_pad_id|>",
      "<|reserved_special_token_2|>",
      "<|start_header_id|>",
      "<|end_header_id|>",
      "<|eom_id|>",
      "<|eot_id|>",
      "<|python_tag|>",
  };
  for (int i = 3; options.special_tokens.size() < 256; ++i)
    options.special_tokens.push_back("<|reserved_special_token_" + std::to_string(i) + "|>");
  options.bos = "<|begin_of_text|>";
  options.eos = "<|end_of_text|>";
  options.add_bos = true;
  return options;
}

base::Result<Vocabulary> vocabulary_from_tiktoken(std::string_view text,
                                                  const TiktokenOptions& options) {
  const std::vector<Line> lines = TRY(parse_lines(text));
  if (lines.empty()) return base::fail("tiktoken: no pieces");
  Vocabulary v;
  v.kind = VocabularyKind::kByteBpe;
  v.pre = options.pre;
  v.pieces = TRY(pieces_by_rank(lines));
  const size_t first_special = v.pieces.size();
  for (const std::string& special : options.special_tokens)
    v.pieces.push_back({.text = special, .kind = PieceKind::kControl});
  v.merges_by_rank = true;
  v.add_space_prefix = false;
  if (const auto known = find_pre_tokenizer(options.pre)) v.ignore_merges = known->ignore_merges;
  v.bos = TRY(special_id(v, first_special, options.bos));
  v.eos = TRY(special_id(v, first_special, options.eos));
  v.add_bos = options.add_bos;
  find_end_of_generation(v);
  return v;
}

}  // namespace neuros::text
