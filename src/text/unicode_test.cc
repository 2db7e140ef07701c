#include "text/unicode.h"

#include "text/byte_alphabet.h"

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (char32_t code = 0; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 13) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    append_utf8(code, text);
    const Utf8Char c = read_utf8(text, 0);
    ASSERT_TRUE(c.valid) << std::hex << static_cast<uint32_t>(code);
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.bytes, text.size());
  }
}

TEST(Utf8, RefusesBytesThatAreNoCharacter) {
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xFF", "\xC3", "\xE2\x82"}) {
    const Utf8Char c = read_utf8(bad, 0);
    EXPECT_FALSE(c.valid);
    EXPECT_EQ(c.bytes, 1);
  }
}

TEST(Utf8, InvalidPartsBecomeOneReplacementEach) {
  EXPECT_EQ(replace_invalid_utf8("aé\u20AC"), "aé\u20AC");
  EXPECT_EQ(replace_invalid_utf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82z"), "\uFFFDz");                // one cut-off character
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate: no prefix
}

TEST(Utf8, OpenTailIsWhatCouldStillBecomeACharacter) {
  EXPECT_EQ(open_utf8_tail("abc"), 0u);
  EXPECT_EQ(open_utf8_tail("ab\xC3"), 1u);
  EXPECT_EQ(open_utf8_tail("ab\xF0\x9F\xA6"), 3u);
  EXPECT_EQ(open_utf8_tail("ab\xF0\x9F\xA6\x99"), 0u);
  EXPECT_EQ(open_utf8_tail("\xE0\x80"), 0u);  // overlong: never valid
  EXPECT_EQ(open_utf8_tail("\x80\x80"), 0u);
}

TEST(Unicode, Properties) {
  EXPECT_TRUE(is_white_space(0x3000) && is_white_space(0x85) && is_white_space('\t'));
  EXPECT_FALSE(is_white_space(0x180E) || is_white_space(0x200B));
  EXPECT_TRUE(is_punctuation('$') && is_punctuation(0x3001) && is_punctuation('~'));
  EXPECT_FALSE(is_punctuation('a') || is_punctuation(0x20AC));
  EXPECT_TRUE(is_other(0) && is_other(0x200D) && is_other(0xE000));
  EXPECT_TRUE(is_nonspacing_mark(0x301));
  EXPECT_FALSE(is_nonspacing_mark(0x17B6));  // Khmer vowel sign AA: a spacing mark
  EXPECT_TRUE(is_cjk_ideograph(0x4E2D));
  EXPECT_FALSE(is_cjk_ideograph(0x3042));
  EXPECT_EQ(to_lower(U'Ж'), U'ж');
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalize_utf8("e\u0301", Normalization::kNfc), "é");
  EXPECT_EQ(normalize_utf8("é", Normalization::kNfd), "e\u0301");
  EXPECT_EQ(normalize_utf8("\uFB01\u2460", Normalization::kNfkc), "fi1");
  EXPECT_EQ(normalize_utf8("\uD55C", Normalization::kNfd), "\u1112\u1161\u11AB");
  EXPECT_EQ(normalize_utf8("a\u0301\u0327", Normalization::kNfc), "\u00E1\u0327");
}

TEST(Unicode, ManyMarksInARowAreNotQuadratic) {
  std::string text;
  while (text.size() < (1 << 20)) text += "\u0301\u0327";
  EXPECT_EQ(normalize_utf8(text, Normalization::kNfc).size(), text.size());
}

TEST(ByteAlphabet, EveryByteRoundTrips) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  const std::string text = to_byte_alphabet(bytes);
  EXPECT_EQ(valid_utf8_prefix(text), text.size());
  EXPECT_EQ(from_byte_alphabet(text), bytes);
  EXPECT_EQ(to_byte_alphabet(" \n\xFFz"), "ĠĊÿz");
  EXPECT_EQ(from_byte_alphabet("a b"), std::nullopt);
  EXPECT_EQ(from_byte_alphabet("\u4E2D"), std::nullopt);
}

}  // namespace
}  // namespace neuros::text
