#include "text/jinja/testing/render.h"

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::render;

constexpr auto kInputs = R"({"l": [1, 2, 3], "d": {"a": 1, "b": 2}, "x": "X"})";

TEST(For, RunsOverEverythingIterable) {
  EXPECT_EQ(render("{% for i in l %}{{ i }}{% endfor %}", kInputs), "123");
  EXPECT_EQ(render("{% for k in d %}{{ k }}{% endfor %}", kInputs), "ab");
  EXPECT_EQ(render("{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}", kInputs), "a1b2");
  EXPECT_EQ(render("{% for c in 'h\u00e9' %}{{ c }}-{% endfor %}"), "h-\u00e9-");
  EXPECT_EQ(render("{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}"), "123");
  EXPECT_EQ(render("{% for i in none %}{% endfor %}"),
            "error: template: line 1, column 8: 'NoneType' object is not iterable");
  EXPECT_EQ(render("{% for a, b in [[1]] %}{% endfor %}"),
            "error: template: line 1, column 8: cannot unpack 1 values, expected 2");
}

TEST(For, ConditionCountsTheElementsThatPass) {
  EXPECT_EQ(
      render("{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}",
             kInputs),
      "1/2:2 2/2:3 ");
  EXPECT_EQ(render("{% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}", kInputs), "none");
}

TEST(For, LoopVariable) {
  EXPECT_EQ(render("{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
                   "{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }} {% endfor %}",
                   kInputs),
            "1032TrueFalse 2121FalseFalse 3210FalseTrue ");
  EXPECT_EQ(render("{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
                   kInputs),
            "<1>2 1<2>3 2<3> ");
  EXPECT_EQ(
      render(
          "{% for i in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }} {% endfor %}"),
      "aTrue bFalse aTrue ");
  EXPECT_EQ(render("{% for i in l %}{% for j in 'ab' %}{{ loop.index }}{% endfor %}{{ loop.index "
                   "}} {% endfor %}",
                   kInputs),
            "121 122 123 ");
}

TEST(For, BreakAndContinue) {
  EXPECT_EQ(
      render("{% for i in l %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", kInputs),
      "1");
  EXPECT_EQ(render("{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
                   kInputs),
            "13");
}

TEST(Set, IsScopedToLoopsButNotToConditions) {
  EXPECT_EQ(render("{% set y = 0 %}{% for i in l %}{% set y = y + i %}{{ y }}{% endfor %}{{ y }}",
                   kInputs),
            "1230");
  EXPECT_EQ(render("{% if true %}{% set y = 1 %}{% endif %}{{ y }}"), "1");
  EXPECT_EQ(render("{% set a, b = 1, [2] %}{{ a }}{{ b }}"), "1[2]");
}

TEST(Set, BlockCapturesItsText) {
  EXPECT_EQ(render("{% set a %}x{{ 1 }}{% endset %}{{ a }}{{ a|length }}"), "x12");
  EXPECT_EQ(render("{% set a | replace('x', 'q') | upper %}x{{ 1 }}{% endset %}{{ a }}"), "Q1");
}

TEST(Set, NamespaceAttributesOutliveLoops) {
  EXPECT_EQ(render("{% set ns = namespace(y=0) %}{% for i in l %}{% set ns.y = ns.y + i %}{% "
                   "endfor %}{{ ns.y }}",
                   kInputs),
            "6");
  EXPECT_EQ(
      render("{% set ns = namespace({'a': 5}) %}{{ ns.a }}{{ ns['a'] }}{{ ns.b is defined }}"),
      "55False");
  EXPECT_EQ(
      render("{% set x.y = 1 %}", kInputs),
      "error: template: line 1, column 8: cannot assign attribute on non-namespace object 'x'");
}

TEST(If, TakesTheFirstTrueBranch) {
  EXPECT_EQ(render("{% if 0 %}a{% elif [] %}b{% elif 'x' %}c{% else %}d{% endif %}"), "c");
  EXPECT_EQ(render("{% if 0 %}a{% else %}d{% endif %}"), "d");
}

TEST(Macro, Arguments) {
  constexpr auto kMacro = "{% macro m(a, b=a) %}{{ a }}-{{ b }};{% endmacro %}";
  EXPECT_EQ(render(std::string(kMacro) + "{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}"),
            "1-1;1-3;4-5;-;");
  EXPECT_EQ(render(std::string(kMacro) + "{{ m(1, 2, 3) }}"),
            "error: template: line 1, column 56: macro 'm' takes not more than 2 argument(s)");
  EXPECT_EQ(render(std::string(kMacro) + "{{ m(z=1) }}"),
            "error: template: line 1, column 56: macro 'm' takes no keyword argument 'z'");
  EXPECT_EQ(render("{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}"),
            "(2, 3){'k': 4}");
}

TEST(Macro, SeesTheScopeItIsDefinedIn) {
  EXPECT_EQ(render("{% macro m() %}{{ y }}{% endmacro %}{% set y = 3 %}{{ m() }}"), "3");
  EXPECT_EQ(render("{% macro m() %}{% set q = 1 %}{% endmacro %}{{ m() }}{{ q is defined }}"),
            "False");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}"
                   "{% if i == 1 %}{% set ns.m = m %}{% endif %}{% endfor %}{{ ns.m() }}",
                   kInputs),
            "1");
  EXPECT_EQ(
      render("{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}"),
      "3210");
}

TEST(Macro, CallBlocks) {
  EXPECT_EQ(render("{% macro m() %}[{{ caller(1, b=2) }}]{% endmacro %}{% call(a, b) m() %}{{ a "
                   "}}{{ b }}{% endcall %}"),
            "[12]");
  EXPECT_EQ(render("{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}x{% "
                   "endcall %}"),
            "FalseTrue");
  EXPECT_EQ(render("{% macro m() %}{% endmacro %}{% call m() %}x{% endcall %}"),
            "error: template: line 1, column 39: macro 'm' takes no keyword argument 'caller'");
}

TEST(Blocks, FilterWithAndGeneration) {
  EXPECT_EQ(render("{% filter upper | replace('A', 'b') %}a{{ x }}c{% endfilter %}", kInputs),
            "bXC");
  EXPECT_EQ(render("{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}"),
            "12False");
  EXPECT_EQ(render("{% generation %}a{{ x }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
                   kInputs),
            "aXFalse");
}

}  // namespace
}  // namespace neuros::text::jinja
