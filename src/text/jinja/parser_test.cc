#include "text/jinja/parser.h"

#include "text/jinja/limits.h"
#include "text/jinja/testing/render.h"

#include <string>

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::render;

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string error_of(const std::string& source) {
  const auto body = parse(source);
  return body ? "" : body.error().message;
}

TEST(Parser, ErrorsNameWhatWasExpectedAndWhere) {
  EXPECT_EQ(error_of("{{ 1 + }}"),
            "template: line 1, column 8: expected an expression, found '}}'");
  EXPECT_EQ(error_of("{{ }}"), "template: line 1, column 4: expected an expression, found '}}'");
  EXPECT_EQ(error_of("{{ 1"),
            "template: line 1, column 5: expected '}}', found the end of the template");
  EXPECT_EQ(error_of("{{ a b }}"), "template: line 1, column 6: expected '}}', found 'b'");
  EXPECT_EQ(error_of("{% for i l %}"), "template: line 1, column 10: expected 'in', found 'l'");
  EXPECT_EQ(error_of("{% if 1 %}\nx"), "template: line 2, column 1: block without 'endif'");
}

TEST(Parser, UnknownAndMisplacedTags) {
  EXPECT_EQ(error_of("{% foo %}"), "template: line 1, column 4: unexpected or unknown tag 'foo'");
  EXPECT_EQ(error_of("{% endif %}"),
            "template: line 1, column 4: unexpected or unknown tag 'endif'");
  EXPECT_EQ(error_of("{% for i in l %}{% endif %}{% endfor %}"),
            "template: line 1, column 20: unexpected or unknown tag 'endif'");
  EXPECT_EQ(error_of("{% %}"), "template: line 1, column 4: expected the name of a tag");
  EXPECT_EQ(error_of("{% break %}"), "template: line 1, column 10: break outside of a loop");
  EXPECT_NE(error_of("{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}"), "");
}

TEST(Parser, CallsAndTargets) {
  EXPECT_NE(error_of("{{ f(a=1, 2) }}"), "");
  EXPECT_NE(error_of("{% macro m(a=1, b) %}{% endmacro %}"), "");
  EXPECT_NE(error_of("{% set true = 1 %}"), "");
  EXPECT_NE(error_of("{% call(u) msgs %}x{% endcall %}"), "");
  EXPECT_EQ(error_of("{{ f(1, *a, b=2, **c) }}"), "");
  EXPECT_NE(error_of("{{ x is defined is true }}"), "");
}

TEST(Parser, DepthIsLimited) {
  EXPECT_NE(error_of("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}"), "");
  EXPECT_NE(error_of("{{ " + repeated("[", 5000)), "");
  EXPECT_NE(error_of("{{ " + repeated("1+", 5000) + "1 }}"), "");
  EXPECT_NE(error_of("{{ " + repeated("not ", 5000) + "1 }}"), "");
  EXPECT_NE(error_of("{{ " + repeated("-", 5000) + "1 }}"), "");
  EXPECT_NE(error_of("{{ a" + repeated(".a", 5000) + " }}"), "");
  EXPECT_NE(error_of("{{ 1" + repeated(" if 0 else 2", 5000) + " }}"), "");
  EXPECT_NE(error_of(repeated("{% if 1 %}", 5000)), "");
  EXPECT_NE(error_of("{% set " + repeated("(", 5000) + "a"), "");
}

TEST(Parser, WidthIsNotLimited) {
  EXPECT_EQ(render("{{ (0" + repeated(" ~ 1", 2000) + ")|length }}"), "2001");
  EXPECT_EQ(render("{{ 'a'" + repeated("|string", 2000) + " }}"), "a");
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", 2000) + "{% else %}x{% endif %}"), "x");
}

TEST(Parser, SizeIsLimited) {
  EXPECT_NE(error_of(std::string(kSourceBytesMax + 1, 'x')), "");
}

}  // namespace
}  // namespace neuros::text::jinja
