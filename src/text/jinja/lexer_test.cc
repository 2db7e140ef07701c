#include "text/jinja/lexer.h"

#include "text/jinja/testing/render.h"

#include <string>

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::render;
using testing::value_of;

TEST(Lexer, NewlineAfterAStatementOrCommentGoes) {
  EXPECT_EQ(render("{% if true %}\na\n{% endif %}\nb"), "a\nb");
  EXPECT_EQ(render("{# c #}\na"), "a");
  EXPECT_EQ(render("{{ 1 }}\na"), "1\na");
  EXPECT_EQ(render("{% if true +%}\na{% endif %}"), "\na");
}

TEST(Lexer, BlanksBeforeAStatementOnItsLineGo) {
  EXPECT_EQ(render("a\n  {% if true %}b{% endif %}"), "a\nb");
  EXPECT_EQ(render("  {# c #}b"), "b");
  EXPECT_EQ(render("a\n  {%+ if true %}b{% endif %}"), "a\n  b");
  EXPECT_EQ(render("a  {% if true %}b{% endif %}"), "a  b");
  EXPECT_EQ(render("a\n  {{ 1 }}"), "a\n  1");
  EXPECT_EQ(render("{{ 1 }}  {% set q = 1 %}x"), "1  x");
}

TEST(Lexer, MinusTakesAllWhiteSpace) {
  EXPECT_EQ(render("a \n\t{%- if true -%}\n\n b \n{%- endif -%}\n c"), "abc");
  EXPECT_EQ(render("a \n {{- 1 -}} \n b"), "a1b");
  EXPECT_EQ(render("a {#- c -#} b"), "ab");
  EXPECT_EQ(render("a\u00a0{{- 1 }}"), "a1");
}

TEST(Lexer, OneNewlineAtTheEndGoesAndLineEndsAreUnified) {
  EXPECT_EQ(render("a\n"), "a");
  EXPECT_EQ(render("a\n\n"), "a\n");
  EXPECT_EQ(render("\r\na\rb\r\n"), "\na\nb");
  EXPECT_EQ(render(""), "");
}

TEST(Lexer, RawTextIsKept) {
  EXPECT_EQ(render("{% raw %}{{ x }}{% if %}{% endraw %}"), "{{ x }}{% if %}");
  EXPECT_EQ(render("a {%- raw -%} {{ x }} {%- endraw -%} b"), "a{{ x }}b");
  EXPECT_EQ(render("{% raw %}{{"), "error: template: line 1, column 1: raw without endraw");
}

TEST(Lexer, BracketsHideEnds) {
  EXPECT_EQ(value_of("{'a': {'b': 1}}"), "{'a': {'b': 1}}");
  EXPECT_EQ(value_of("{'a': {'b': 1}}.a.b"), "1");
  EXPECT_EQ(value_of("'}}' ~ '%}'"), "}}%}");
}

TEST(Lexer, Strings) {
  EXPECT_EQ(value_of(R"('a\n\t\\\'\x41\u00e9\U0001F680\101\d')"), "a\n\t\\'A\u00e9\U0001F680A\\d");
  EXPECT_EQ(value_of("'a' \"b\" 'c'"), "abc");
  EXPECT_EQ(value_of("'line\nbreak'"), "line\nbreak");
  EXPECT_EQ(value_of("'abc"), "error: template: line 1, column 4: string without end");
  EXPECT_EQ(value_of(R"('\u12')"), "error: template: line 1, column 4: bad escape in a string");
}

TEST(Lexer, Numbers) {
  EXPECT_EQ(value_of("1_000 + 0x1f + 0b11 + 0o17"), "1049");
  EXPECT_EQ(value_of("[1.5, 2e3, 1.5e-7, 1E2]"), "[1.5, 2000.0, 1.5e-07, 100.0]");
  EXPECT_EQ(value_of("99999999999999999999"),
            "error: template: line 1, column 4: bad integer 99999999999999999999");
}

TEST(Lexer, ErrorsNameThePlace) {
  EXPECT_EQ(render("a\n\u00e9 {# b"), "error: template: line 2, column 3: comment without end");
  EXPECT_EQ(render("{{ (1] }}"), "error: template: line 1, column 6: unexpected ']', expected ')'");
  EXPECT_EQ(render("{{ $ }}"), "error: template: line 1, column 4: unexpected character '$'");
}

}  // namespace
}  // namespace neuros::text::jinja
